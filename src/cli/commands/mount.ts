/** mount: makes a DFS a directory of this machine. */
import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { DEFAULT_BUSY_POLL_MS, type FuseDriver } from '../../fuse/driver.js';
import { kernelDriver, kernelDriverCanRun } from '../../fuse/kernel/kernel-driver.js';
import { nativeDriver } from '../../fuse/native/native-driver.js';
import { createLogger } from '../../platform/log.js';
import type { Endpoint } from '../../platform/network.js';
import { DfsError } from '../../protocol/errors.js';
import { DEFAULT_CHUNK_BYTES } from '../../protocol/limits.js';
import {
  ATIME_RULES,
  DEFAULT_CACHE_BYTES,
  DEFAULT_DIRTY_BYTES,
  DEFAULT_READ_AHEAD_BYTES,
  type AtimeRule,
} from '../../vfs/vfs-options.js';
import { namesOf } from '../../vfs/path-walk.js';
import { formatEndpoint, parseMountSource } from '../address.js';
import {
  clientOptions,
  GOAL_OPTION,
  MIN_REPLICAS_OPTION,
  SHORT_CIRCUIT_OPTION,
  type ClientParameters,
} from '../client-options.js';
import { cacheSizeOption, memoryOption } from '../memory-option.js';
import { defineCommand } from '../command.js';
import { locateKeyFile } from '../key-option.js';
import { report, reportingFailure, runInBackground } from '../mount/background.js';
import { FSTAB, fstabLine, writeFstab } from '../mount/fstab.js';
import { fstabOptions } from '../mount/fstab-options.js';
import { defaultLogPath } from '../mount/log-path.js';
import { runMount } from '../mount/mount-process.js';
import { takeOver } from '../mount/take-over.js';
import { parseCount, parseSeconds } from '../quantity.js';
import { chooseServer, SERVER_DESCRIPTION, SERVER_POSITIONAL } from '../server-choice.js';
import { UsageError } from '../usage-error.js';

const DRIVERS: readonly FuseDriver[] = [kernelDriver, nativeDriver];

const MAX_BUSY_POLL_US = 1000;

interface MountParameters extends ClientParameters {
  readonly server: Endpoint;
  /** The directory that is to be the root of the mount. */
  readonly path: string;
  readonly readOnly: boolean;
  readonly exec: boolean;
  readonly quiet: boolean;
  readonly background: boolean;
  readonly goal: number;
  readonly minReplicas: number | undefined;
  readonly driver: string;
  readonly allowOther: boolean | undefined;
  readonly suid: boolean;
  readonly dev: boolean;
  /** Bytes. */
  readonly cacheSize: number;
  readonly dirty: number;
  readonly readAhead: number;
  readonly shortCircuit: boolean;
  readonly atime: AtimeRule;
  /** Milliseconds. */
  readonly entryTimeout: number;
  readonly attrTimeout: number;
  readonly negativeTimeout: number;
  readonly busyPoll: number;
  readonly keepNames: boolean;
  readonly logFile: string | undefined;
}

export const mount = defineCommand({
  name: 'mount',
  positionals: '[server] [mountpoint]',
  summary: 'Mount the file system: make it a directory of this machine',
  takesConfig: true,
  declare: (yargs, call) =>
    cacheOptions(clientOptions(yargs, { logLevel: 'info' }))
      .positional('server', {
        ...SERVER_POSITIONAL,
        describe: `${SERVER_DESCRIPTION}; also as dfs://HOST[:PORT]/; with a directory to mount only that: HOST[:PORT]:/photos`,
      })
      .positional('mountpoint', {
        type: 'string',
        describe: 'an empty directory, made if there is none; alone, it has a slash in it (./mnt)',
      })
      .option('background', {
        type: 'boolean',
        default: false,
        describe: 'return when it is mounted; print the process id',
      })
      .option('quiet', {
        type: 'boolean',
        default: false,
        describe: 'with --background: print nothing when it is mounted',
      })
      .option('fstab', {
        type: 'boolean',
        default: false,
        describe: `root only: write the line of ${FSTAB} for this mount, which then is made when it is used first`,
      })
      .option('read-only', {
        type: 'boolean',
        default: false,
        describe: 'refuse every change (EROFS)',
      })
      .option('goal', GOAL_OPTION)
      .option('min-replicas', MIN_REPLICAS_OPTION)
      .option('driver', {
        choices: ['auto', ...DRIVERS.map(driver => driver.name)],
        requiresArg: true,
        default: 'auto',
        describe: 'how the kernel is spoken to; auto is kernel wherever that can be, else fuse-native',
      })
      .option('allow-other', {
        type: 'boolean',
        describe: 'let other users in, as far as permissions go [default: only when root mounts]',
      })
      .option('suid', {
        type: 'boolean',
        default: false,
        describe: 'root only: programs stored here may run as the user they belong to (setuid)',
      })
      .option('dev', {
        type: 'boolean',
        default: false,
        describe: "root only: device files stored here lead to this machine's devices",
      })
      .option('exec', {
        type: 'boolean',
        default: true,
        describe: 'let programs run that are stored here',
      })
      .option('take-over', {
        type: 'boolean',
        default: false,
        describe:
          'go on with what is mounted there, in the place of the process that serves it, e.g. with a newer DFS: programs notice a short pause; the mount keeps its settings',
      })
      .option('log-file', {
        type: 'string',
        requiresArg: true,
        describe: 'with --background: where the log goes [default: in $DFS_HOME/log]',
      })
      .example([
        [`${call} /mnt/dfs`, "this machine's own cluster, in the foreground"],
        [`${call} 10.0.0.1:8001 /mnt/dfs --background`, 'returns when the mount can be used'],
        [`${call} 10.0.0.1:/photos /mnt/photos`, 'only that directory'],
        [`${call} dfs://10.0.0.1/ /mnt/dfs --fstab`, 'at every start of the machine, by systemd'],
        [`${call} /mnt/dfs --take-over --background`, 'after an upgrade: the new DFS serves what is mounted'],
      ])
      .epilog(
        'umount <mountpoint>, Ctrl-C and SIGTERM end the mount after everything written is stored; a second signal ' +
          `ends it at once. With --driver fuse-native: ${nativeDriver.limitations.join('; ')}.`,
      ),
  async run(given) {
    const { server, mountpoint } = serverAndMountPoint(given.server, given.mountpoint);
    if (given.takeOver) {
      requireBackground(given.background, given.logFile);
      await takeOver(given, server, resolve(mountpoint));
      return;
    }
    const source =
      server === undefined ? { server: chooseServer(undefined), path: '/' } : parseMountSource(server);
    const parameters = { ...given, server: source.server, path: source.path };
    const { background, logFile, fstab } = parameters;
    if (fstab) {
      if (server === undefined) throw new UsageError('--fstab needs the server: dfs://HOST/');
      await enterInFstab(parameters, resolve(mountpoint));
      return;
    }
    requireBackground(background, logFile);
    if ((parameters.suid || parameters.dev) && !isRoot()) {
      throw new DfsError('EPERM', '--suid and --dev are for root: both can give away the whole machine');
    }
    const mountPoint = resolve(mountpoint);
    if (background) await startInBackground(parameters, mountPoint);
    else await runInForeground(parameters, mountPoint);
  },
});

function requireBackground(background: boolean, logFile: string | undefined): void {
  if (logFile !== undefined && !background) {
    throw new UsageError('--log-file is for --background; without it the log goes to standard error');
  }
}

/** A single argument with a slash in it is a mount point. UsageError when there is none. */
function serverAndMountPoint(
  server: string | undefined,
  mountpoint: string | undefined,
): { readonly server: string | undefined; readonly mountpoint: string } {
  if (mountpoint !== undefined) return { server, mountpoint };
  if (server?.includes('/') === true && !server.startsWith('dfs://'))
    return { server: undefined, mountpoint: server };
  const hint = server === undefined ? '' : `; for the directory ${server}, write ./${server}`;
  throw new UsageError(`the mount point is missing${hint}`);
}

function cacheOptions<Parameters>(yargs: Argv<Parameters>) {
  const seconds = (describe: string) =>
    ({ type: 'string', requiresArg: true, default: '0', coerce: parseSeconds, describe }) as const;
  return yargs
    .option(
      'cache-size',
      cacheSizeOption(
        DEFAULT_CACHE_BYTES,
        'memory for the data, attributes, names and places of data that are kept',
      ),
    )
    .option(
      'dirty',
      memoryOption({
        name: '--dirty',
        defaultBytes: DEFAULT_DIRTY_BYTES,
        minBytes: DEFAULT_CHUNK_BYTES,
        describe: 'written data that may wait to be stored; at least a chunk',
      }),
    )
    .option(
      'read-ahead',
      memoryOption({
        name: '--read-ahead',
        defaultBytes: DEFAULT_READ_AHEAD_BYTES,
        minBytes: 0,
        describe: 'read ahead of a sequential reader; 0 for not',
      }),
    )
    .option('short-circuit', SHORT_CIRCUIT_OPTION)
    .option('atime', {
      choices: ATIME_RULES,
      requiresArg: true,
      default: 'noatime' as const,
      describe: 'whether reading moves access times; relatime for mail readers and tmpwatch (mount(8))',
    })
    .option(
      'entry-timeout',
      seconds('seconds that the kernel may believe names; changes by others show late'),
    )
    .option('attr-timeout', seconds('the same for attributes'))
    .option('negative-timeout', seconds('the same for names that are not there'))
    .option('keep-names', {
      type: 'boolean',
      default: true,
      describe:
        'let the kernel keep names until others change them; not so where overlay or other file systems are mounted on this one',
    })
    .option('busy-poll', {
      type: 'string',
      requiresArg: true,
      default: String(DEFAULT_BUSY_POLL_MS * 1000),
      coerce: (text: string): number =>
        parseCount(text, 'number of microseconds', 0, MAX_BUSY_POLL_US) / 1000,
      describe:
        'microseconds for which the next request is looked for, at the cost of a processor, before the mount sleeps',
    });
}

async function startInBackground(parameters: MountParameters, mountPoint: string): Promise<void> {
  const { server, logFile, quiet } = parameters;
  const logPath = resolve(logFile ?? defaultLogPath(mountPoint, server.port));
  const { pid, note } = await runInBackground(foregroundArguments(parameters, mountPoint), logPath);
  if (note !== undefined) process.stderr.write(`dfs mount: ${note}\n`);
  if (quiet) return;
  process.stdout.write(
    `mounted ${sourceOf(parameters)} at ${mountPoint}, process ${pid}, log ${logPath}; ` +
      `end it with: umount ${mountPoint}\n`,
  );
}

async function runInForeground(parameters: MountParameters, mountPoint: string): Promise<void> {
  await reportingFailure(async () => {
    await runMount({
      server: parameters.server,
      mountPoint,
      driver: driverNamed(parameters.driver),
      allowOther: parameters.allowOther ?? isRoot(),
      allowSuid: parameters.suid,
      allowDevices: parameters.dev,
      allowPrograms: parameters.exec,
      settings: {
        ...parameters,
        // The mount's process leaves the directory in which the path was typed.
        keyFile: locateKeyFile(parameters.keyFile),
        rootPath: rootPathOf(parameters),
        cacheBytes: parameters.cacheSize,
        dirtyBytes: parameters.dirty,
        readAheadBytes: parameters.readAhead,
      },
      entryTimeoutMs: parameters.entryTimeout,
      attrTimeoutMs: parameters.attrTimeout,
      negativeTimeoutMs: parameters.negativeTimeout,
      busyPollMs: parameters.busyPoll,
      keepsNames: parameters.keepNames,
      log: createLogger('mount', parameters.logLevel),
      onReady: note => void report({ state: 'ready', ...(note === undefined ? {} : { note }) }),
    });
  });
}

/** What the process in the background is started with: the same, without what is done here. */
function foregroundArguments(parameters: MountParameters, mountPoint: string): string[] {
  const { keyFile, allowOther, minReplicas } = parameters;
  const seconds = (ms: number): string => String(ms / 1000);
  return [
    'mount',
    sourceOf(parameters),
    mountPoint,
    `--goal=${parameters.goal}`,
    `--driver=${parameters.driver}`,
    `--cache-size=${parameters.cacheSize}`,
    `--dirty=${parameters.dirty}`,
    `--read-ahead=${parameters.readAhead}`,
    `--entry-timeout=${seconds(parameters.entryTimeout)}`,
    `--attr-timeout=${seconds(parameters.attrTimeout)}`,
    `--negative-timeout=${seconds(parameters.negativeTimeout)}`,
    `--busy-poll=${parameters.busyPoll * 1000}`,
    `--atime=${parameters.atime}`,
    `--timeout=${seconds(parameters.timeout)}`,
    `--log-level=${parameters.logLevel}`,
    ...(allowOther === undefined ? [] : [allowOther ? '--allow-other' : '--no-allow-other']),
    ...(parameters.suid ? ['--suid'] : []),
    ...(parameters.dev ? ['--dev'] : []),
    ...(parameters.readOnly ? ['--read-only'] : []),
    ...(parameters.exec ? [] : ['--no-exec']),
    ...(parameters.keepNames ? [] : ['--no-keep-names']),
    ...(parameters.shortCircuit ? [] : ['--no-short-circuit']),
    ...(minReplicas === undefined ? [] : [`--min-replicas=${minReplicas}`]),
    ...(keyFile === undefined ? [] : [`--key-file=${resolve(keyFile)}`]),
  ];
}

/** As `parseMountSource` takes it. */
function sourceOf({ server, path }: Pick<MountParameters, 'server' | 'path'>): string {
  return path === '/' ? formatEndpoint(server) : `${formatEndpoint(server)}:${path}`;
}

/** Undefined for the root, which is whatever this machine may mount. */
function rootPathOf({ path }: MountParameters): Buffer[] | undefined {
  const names = namesOf(Buffer.from(path));
  return names.length === 0 ? undefined : names;
}

async function enterInFstab(parameters: MountParameters, mountPoint: string): Promise<void> {
  const options = fstabOptions(parameters);
  const entry = {
    source: `${formatEndpoint(parameters.server)}:${parameters.path}`,
    mountPoint,
    type: 'dfs',
    options,
  };
  const changed = await writeFstab(FSTAB, entry);
  const next = `to mount it now: systemctl daemon-reload && mkdir -p ${mountPoint} && mount ${mountPoint}`;
  process.stdout.write(`${changed ? 'wrote' : 'unchanged'}: ${fstabLine(entry)}\n${next}\n`);
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function driverNamed(name: string): FuseDriver {
  if (name === 'auto') return kernelDriverCanRun() ? kernelDriver : nativeDriver;
  const driver = DRIVERS.find(each => each.name === name);
  if (!driver) throw new UsageError(`there is no driver ${name}`);
  return driver;
}
