/**
 * `glusterfs`: GlusterFS with two bricks that are replicas of each other, its self-heal daemon and one mount, from Debian's
 * packages, with the options of a new volume as they are shipped. It runs in a network of its own.
 */
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasProgram } from '../support/find-program.js';
import { shell } from '../support/programs.js';
import { waitUntil } from '../support/wait-until.js';
import type { FindDaemons } from './daemons.js';
import { OwnNetwork } from './own-network.js';
import { quoted, unmountCommand, type Subject, type Workplace } from './subject.js';
import { unmount } from './unmount.js';

const PACKAGES = ['glusterfs-server', 'glusterfs-client', 'iproute2', 'util-linux'];
const PROGRAMS = ['glusterd', 'gluster', 'glusterfs', 'ip', 'nsenter'];
/** Every process is this executable under another name. */
const EXECUTABLE = 'glusterfsd';
const VOLUME = 'bench';
const BRICKS = ['brick1', 'brick2'];
const PROBE = 'probe';
/** How a process is told where its socket is. */
const SOCKET_OPTION = '-S';

/** What to do, in a sentence, where GlusterFS cannot be measured. */
export function whyNoGlusterfs(): string | undefined {
  const missing = PROGRAMS.filter(name => !hasProgram(name));
  if (missing.length === 0) return undefined;
  return `GlusterFS cannot be measured without ${missing.join(', ')}: apt-get install ${PACKAGES.join(' ')} (as root)`;
}

export class GlusterfsSubject implements Subject {
  readonly directory: string;
  readonly remount: string;
  readonly executables = [EXECUTABLE];
  readonly findDaemons: FindDaemons;
  readonly #home: string;
  readonly #network = new OwnNetwork();

  constructor({ directory }: Workplace) {
    this.#home = directory;
    this.directory = join(directory, 'mount');
    this.remount = `${unmountCommand(this.directory)} && ${this.#mountCommand}`;
    this.findDaemons = this.#network.findDaemons;
  }

  async start(): Promise<void> {
    for (const name of ['work', 'run', 'log', 'mount', ...BRICKS]) await mkdir(join(this.#home, name));
    await this.#network.make();
    await this.#startManager();
    const bricks = BRICKS.map(name => quoted(`${this.#network.address}:${join(this.#home, name)}`)).join(' ');
    // `force`: both bricks are on one machine, and on the disk of its system.
    await this.#gluster(`volume create ${VOLUME} replica ${BRICKS.length} ${bricks} force`);
    await this.#gluster(`volume start ${VOLUME}`);
    await shell(this.#mountCommand);
    await this.#untilReplicated();
  }

  async close(): Promise<void> {
    await unmount(this.directory);
    const sockets = await this.#sockets();
    await this.#network.remove();
    // Processes leave their sockets, which are not in the directories that they were given.
    for (const path of sockets) await rm(path, { force: true });
  }

  /** glusterd, which starts the bricks and the self-heal daemon. */
  async #startManager(): Promise<void> {
    const configuration = this.#path('glusterd.vol');
    await writeFile(configuration, `${this.#configuration().join('\n')}\n`);
    const files = `-f ${quoted(configuration)} -p ${quoted(this.#path('run/glusterd.pid'))}`;
    await shell(`${this.#network.inside} glusterd ${files} -l ${quoted(this.#path('log/glusterd.log'))}`);
  }

  /** That of the package, with directories of its own. */
  #configuration(): string[] {
    return [
      'volume management',
      '    type mgmt/glusterd',
      `    option working-directory ${this.#path('work')}`,
      `    option run-directory ${this.#path('run')}`,
      `    option logging-directory ${this.#path('log')}`,
      `    option glusterd-sockfile ${this.#managerSocket}`,
      '    option transport-type socket',
      '    option transport.socket.read-fail-log off',
      '    option ping-timeout 0',
      '    option event-threads 1',
      '    option max-port 60999',
      'end-volume',
    ];
  }

  async #gluster(command: string): Promise<void> {
    const files = `--glusterd-sock=${quoted(this.#managerSocket)} --log-file=${quoted(this.#path('log/cli.log'))}`;
    await shell(`${this.#network.inside} gluster --mode=script ${files} ${command}`);
  }

  get #managerSocket(): string {
    return this.#path('run/glusterd.socket');
  }

  /** As mount.glusterfs(8) has it. It returns when the file system is mounted. */
  get #mountCommand(): string {
    const options = [
      `--log-file=${quoted(this.#path('log/mount.log'))}`,
      '--process-name fuse',
      `--volfile-server=${this.#network.address}`,
      `--volfile-id=/${VOLUME}`,
    ];
    const mountPoint = quoted(this.directory);
    const mounting = `${this.#network.inside} glusterfs ${options.join(' ')} ${mountPoint}`;
    return `${mounting} && mountpoint -q ${mountPoint} && stat ${mountPoint} >/dev/null`;
  }

  /** A mount that knows one brick only would be fast, and heal later. */
  async #untilReplicated(): Promise<void> {
    const paths = BRICKS.map(name => join(this.#home, name, PROBE));
    const isOnAll = async (): Promise<boolean> => {
      await writeFile(join(this.directory, PROBE), '');
      const found = await Promise.all(paths.map(async path => await isThere(path)));
      await rm(join(this.directory, PROBE));
      return found.every(Boolean);
    };
    await waitUntil(isOnAll, { what: `what is written reaches both bricks (see ${this.#path('log')})` });
  }

  async #sockets(): Promise<string[]> {
    const commands = await Promise.all(
      (await this.findDaemons()).map(
        async pid => await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
      ),
    );
    return commands.flatMap(command => {
      const words = command.split('\0');
      return words.includes(SOCKET_OPTION) ? (words[words.indexOf(SOCKET_OPTION) + 1] ?? []) : [];
    });
  }

  #path(name: string): string {
    return join(this.#home, name);
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
