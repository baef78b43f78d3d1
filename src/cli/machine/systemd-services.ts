/** The servers of a machine as services of systemd, by the units that come with DFS. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import { programPath } from '../program-path.js';
import type { MachineServices } from './service-control.js';
import type { ServiceName } from './service-name.js';

const run = promisify(execFile);
/** There when systemd has started this machine (sd_booted(3)). */
const BOOTED = '/run/systemd/system';
const ADMINISTRATORS_UNITS = '/etc/systemd/system';
const UNITS = programPath('../packaging/systemd');
/** Where the units say that DFS is. */
const PACKAGED_PROGRAM = '/usr/bin/dfs';
/** This installation's own. */
const OWN_PROGRAM = programPath('dfs');
const LOG_LINES = 5;

/** Whether systemd runs this machine. */
export function isSystemdRunning(): boolean {
  return existsSync(BOOTED);
}

function unitOf(name: ServiceName): string {
  const instance = /^node-(.*)$/.exec(name)?.[1];
  // The unit's name of an instance has `-` escaped when it stands for `/`; ours are plain names (systemd.unit(5)).
  return instance === undefined ? `dfs-${name}.service` : `dfs-node@${instance}.service`;
}

/** The unit's file: of an instance, that of its template. */
function unitFileOf(name: ServiceName): string {
  return unitOf(name).replace(/@.*\./, '@.');
}

export const systemdServices: MachineServices = {
  kind: 'systemd',
  hint: name => `journalctl -u ${unitOf(name)}`,

  async enable(name, { directories }) {
    await provideUnit(unitFileOf(name));
    if (directories.length > 0) await allowDirectories(name, directories);
    await systemctl(['daemon-reload']);
    try {
      await systemctl(['enable', '--now', unitOf(name)]);
    } catch (error) {
      const log = await lastMessages(name);
      throw new DfsError(
        'EIO',
        `${unitOf(name)} did not start${log === '' ? '' : ` (${log})`}; see: journalctl -u ${unitOf(name)}`,
        { cause: error },
      );
    }
  },

  async disable(name) {
    await systemctl(['disable', '--now', unitOf(name)]);
    await rm(dropInOf(name), { recursive: true, force: true });
    await systemctl(['daemon-reload']);
  },

  async restart(name) {
    await systemctl(['restart', unitOf(name)]);
  },
};

function dropInOf(name: ServiceName): string {
  return join(ADMINISTRATORS_UNITS, `${unitOf(name)}.d`);
}

/** The units see all but their state read-only, and /home not at all; here the data directory is let in. */
async function allowDirectories(name: ServiceName, directories: readonly string[]): Promise<void> {
  const quoted = directories.map(
    path => `"${path.replaceAll(/["\\]/g, String.raw`\$&`).replaceAll('%', '%%')}"`,
  );
  const lines = [
    '# Written by DFS: where this server keeps its data.',
    '[Service]',
    `ReadWritePaths=${quoted.join(' ')}`,
  ];
  // ProtectHome would hide it.
  if (directories.some(path => /^\/(home|root|run\/user)(\/|$)/.test(path))) lines.push('ProtectHome=no');
  // A disk that is mounted there comes first.
  lines.push('[Unit]', `RequiresMountsFor=${quoted.join(' ')}`);
  try {
    await mkdir(dropInOf(name), { recursive: true, mode: 0o755 });
    await writeFile(join(dropInOf(name), 'data.conf'), `${lines.join('\n')}\n`, { mode: 0o644 });
  } catch (error) {
    throw toDfsError(error).within(`cannot write to ${dropInOf(name)}`);
  }
}

/** Puts a unit in place where no package has: DFS from npm or an archive brings its units along. */
async function provideUnit(file: string): Promise<void> {
  if (await hasUnit(file)) return;
  const text = await readFile(join(UNITS, file), 'utf8').catch((error: unknown) => {
    throw toDfsError(error).within(`this installation of DFS lacks the unit ${file}`);
  });
  await writeFile(join(ADMINISTRATORS_UNITS, file), text.replaceAll(PACKAGED_PROGRAM, OWN_PROGRAM), {
    mode: 0o644,
  });
}

async function hasUnit(file: string): Promise<boolean> {
  return await systemctl(['cat', file]).then(
    () => true,
    () => false,
  );
}

async function systemctl(parameters: readonly string[]): Promise<string> {
  try {
    return (await run('systemctl', ['--no-ask-password', ...parameters])).stdout;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw new DfsError('ENOENT', 'systemd runs, but there is no systemctl');
    const text = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error);
    throw new DfsError('EIO', `systemctl ${parameters.join(' ')} failed: ${text}`);
  }
}

/** What the server said last, as one line; empty when that cannot be read. */
async function lastMessages(name: ServiceName): Promise<string> {
  try {
    const parameters = ['-u', unitOf(name), '-n', String(LOG_LINES), '-o', 'cat', '--no-pager', '-q'];
    const lines = (await run('journalctl', parameters)).stdout.split('\n');
    // The sentence of a program that ended, rather than its log.
    return lines.findLast(line => /^(dfs|dfs [a-z-]+|meta-data|data-node): /.test(line)) ?? '';
  } catch {
    return '';
  }
}
