/** A whole DFS on this machine for a test: real processes of this clone, free ports, a temporary directory. */
import { chmod, chown, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { parseMountTable } from '../../src/fuse/mount-table.js';
import type { Endpoint } from '../../src/platform/network.js';
import { environmentFor, inClone, runFile, shell, type Outcome, type RunOptions } from './programs.js';
import type { Machines } from './namespaces.js';
import { ServerProcess } from './server-process.js';
import { readKeyFile } from '../../src/cli/key-file.js';
import type { Role } from '../../src/protocol/roles.js';
import type { Keyring } from '../../src/rpc/keyring.js';

export { ServerProcess } from './server-process.js';
export { shell } from './programs.js';
export { waitUntil } from './wait-until.js';

const HOST = '127.0.0.1';
/** The machine on which commands are run, when there are machines. */
const ADMINISTRATOR = 'administrator';
const TEARDOWN_STOP_MS = 20_000;
const UNMOUNT_TIMEOUT_MS = 10_000;

export interface ClusterOptions {
  readonly dataNodes: number;
  /** How many mounts to begin with; default none. */
  readonly mounts?: number;
  /** --goal of the mounts; default what `dfs mount` has as its default. */
  readonly goal?: number;
  /** Machines on which the servers and mounts run, each on one of its own; default all on this one. */
  readonly machines?: Machines;
  /** More environment for the server that has a directory. */
  readonly serverEnvironment?: (directory: string) => NodeJS.ProcessEnv;
  /** Done with each data node's directory, which is empty, before the node is started. */
  readonly prepareDirectory?: (directory: string) => Promise<unknown>;
  /** Done with the metadata server's directory, which is empty, before the database is made. */
  readonly prepareMetadata?: (directory: string) => Promise<unknown>;
  /** More options of `meta-data`, e.g. `--lost-after=4`. */
  readonly metadataOptions?: readonly string[];
  /** More options of `dfs mount`, e.g. `--timeout=5`. */
  readonly mountOptions?: readonly string[];
  /** As in ServerProcessOptions. */
  readonly ownExecutable?: string;
  /** As in ServerProcessOptions, for the process of a name: metadata, node1, …, mount1, … */
  readonly installationOf?: (name: string) => string | undefined;
}

/** A mount daemon in the foreground. */
export class MountProcess extends ServerProcess {
  /** The same as its directory. */
  get mountPoint(): string {
    return this.directory;
  }
}

export class Cluster {
  /** The temporary directory in which everything is. */
  readonly directory: string;
  readonly metadata: ServerProcess;
  readonly nodes: ServerProcess[] = [];
  readonly mounts: MountProcess[] = [];
  readonly #options: ClusterOptions;
  readonly #env: NodeJS.ProcessEnv;
  /** Where the metadata server is to listen. */
  #metadataHost = HOST;

  constructor(directory: string, options: ClusterOptions) {
    this.directory = directory;
    this.#options = options;
    this.#env = environmentFor(join(directory, 'home'));
    const database = this.#databasePath;
    this.metadata = new ServerProcess({
      name: 'metadata',
      program: 'meta-data',
      parameters: port => [
        String(port),
        '--db',
        database,
        ...(options.machines ? ['--host', this.#metadataHost] : []),
        ...(options.metadataOptions ?? []),
      ],
      directory: join(directory, 'metadata'),
      logPath: this.#logPath('metadata'),
      env: this.#serverEnvironment(join(directory, 'metadata')),
      prefix: options.machines?.prefixOf('metadata'),
      ownExecutable: options.ownExecutable,
      installation: () => options.installationOf?.('metadata'),
    });
  }

  /** Whether this process reaches the servers. */
  get isReachable(): boolean {
    return this.#options.machines === undefined;
  }

  /** Of programs that are to use this cluster, with its DFS_HOME. */
  get environment(): NodeJS.ProcessEnv {
    return this.#env;
  }

  /** The key that `createdb` made, and that every process of the cluster uses. */
  get keys(): Keyring {
    return readKeyFile(this.keyPath);
  }

  get keyPath(): string {
    return join(this.directory, 'home', 'key');
  }

  /** A file with the key of one role, for a user who cannot read the cluster's; its path. */
  async roleKey(role: Role, userId: number): Promise<string> {
    const path = join(this.directory, `${role}-of-${userId}.key`);
    await chmod(this.directory, 0o755);
    await writeFile(path, this.keys.exportRole(role), { mode: 0o600 });
    await chown(path, userId, userId);
    return path;
  }

  /** Where the metadata server listens. */
  get endpoint(): Endpoint {
    return this.metadata.endpoint;
  }

  async start(): Promise<void> {
    await mkdir(join(this.directory, 'log'));
    const { machines } = this.#options;
    if (machines) {
      this.#metadataHost = await machines.addressOf('metadata');
      await machines.addressOf(ADMINISTRATOR);
    }
    if (this.#options.prepareMetadata) {
      await mkdir(join(this.directory, 'metadata'));
      await this.#options.prepareMetadata(join(this.directory, 'metadata'));
    }
    const { code, stderr } = await this.run('createdb', ['--db', this.#databasePath], {}, 'metadata');
    if (code !== 0) throw new Error(`createdb failed: ${stderr}`);
    await this.metadata.start();
    // One after the other, so that the node's number is the one in its name.
    for (let index = 0; index < this.#options.dataNodes; index += 1) await this.addNode();
    for (let index = 0; index < (this.#options.mounts ?? 0); index += 1) await this.addMount();
  }

  /**
   * A further client, mounted at a directory of its own.
   * @param userId who mounts; by default who runs the tests
   * @param address by which it reaches the metadata server
   */
  async addMount(
    options: readonly string[] = [],
    userId?: number,
    address = this.metadata.address,
  ): Promise<MountProcess> {
    const { goal, mountOptions = [], machines } = this.#options;
    const name = `mount${this.mounts.length + 1}`;
    const directory = join(this.directory, name);
    await mkdir(directory);
    if (userId !== undefined) {
      await chmod(this.directory, 0o755);
      await chown(directory, userId, userId);
    }
    await machines?.addressOf(name);
    const keyOptions = userId === undefined ? [] : ['--key-file', await this.roleKey('client', userId)];
    const goalOptions = goal === undefined ? [] : ['--goal', String(goal)];
    const mount = new MountProcess({
      name,
      program: 'dfs',
      parameters: () => [
        'mount',
        address,
        directory,
        ...goalOptions,
        ...keyOptions,
        ...mountOptions,
        ...options,
      ],
      directory,
      logPath: this.#logPath(name),
      env: this.#env,
      prefix: machines?.prefixOf(name),
      userId,
      ownExecutable: this.#options.ownExecutable,
      installation: () => this.#options.installationOf?.(name),
    });
    this.mounts.push(mount);
    await mount.start();
    return mount;
  }

  /**
   * A process that takes the place of one that serves a mount, which then ends by itself.
   * @param userId who takes it over; by default who runs the tests
   */
  async takeOver(
    mount: MountProcess,
    options: readonly string[] = [],
    userId?: number,
  ): Promise<MountProcess> {
    const name = `mount${this.mounts.length + 1}`;
    const { directory } = mount;
    const successor = new MountProcess({
      name,
      program: 'dfs',
      parameters: () => ['mount', directory, '--take-over', ...options],
      directory,
      logPath: this.#logPath(name),
      env: this.#env,
      userId,
    });
    this.mounts.push(successor);
    await successor.start();
    return successor;
  }

  /**
   * Runs an executable of bin/ to its end, with this cluster's DFS_HOME.
   * @param part whose installation it is taken from, where parts have different ones
   */
  async run(
    program: string,
    parameters: readonly string[],
    options: RunOptions = {},
    part?: string,
  ): Promise<Outcome> {
    const prefix = this.#options.machines?.prefixOf(ADMINISTRATOR) ?? [];
    const installation = part === undefined ? undefined : this.#options.installationOf?.(part);
    const executable =
      installation === undefined ? inClone(`bin/${program}`) : join(installation, 'bin', program);
    const [file = '', ...rest] = [...prefix, process.execPath, executable, ...parameters];
    return await runFile(file, rest, { env: this.#env, ...options });
  }

  /** The last log lines of every process. */
  logTails(): string {
    return this.#processes.map(each => `--- the log of ${each.name} ends with\n${each.logTail()}`).join('\n');
  }

  /** Ends everything, mounts first, and removes the directory. Throws when something could not be ended in order. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const mount of this.mounts) {
      await mount.stop(TEARDOWN_STOP_MS).catch((error: unknown) => failures.push(error));
    }
    const ownMounts = new Set(this.mounts.map(mount => mount.mountPoint));
    const unmount = async (mountPoint: string): Promise<void> => {
      await shell('umount -l -- "$MOUNT_POINT" || fusermount -uz -- "$MOUNT_POINT"', {
        timeoutMs: UNMOUNT_TIMEOUT_MS,
        env: { ...process.env, MOUNT_POINT: mountPoint },
      }).catch((error: unknown) => failures.push(error));
    };
    for (const left of await this.#leftMounts()) if (ownMounts.has(left)) await unmount(left);
    for (const server of [...this.nodes, this.metadata]) {
      await server.stop(TEARDOWN_STOP_MS).catch((error: unknown) => failures.push(error));
    }
    // What data nodes had their data on.
    for (const left of await this.#leftMounts()) await unmount(left);
    const left = await this.#leftMounts();
    // Removing through a mount would remove what is in it.
    if (left.length === 0) await rm(this.directory, { recursive: true, force: true });
    else failures.push(new Error(`${left.join(', ')} could not be unmounted; ${this.directory} is left`));
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'));
  }

  get #processes(): ServerProcess[] {
    return [this.metadata, ...this.nodes, ...this.mounts];
  }

  get #databasePath(): string {
    return join(this.directory, 'metadata', 'dfs.db');
  }

  #serverEnvironment(directory: string): NodeJS.ProcessEnv {
    return { ...this.#env, ...this.#options.serverEnvironment?.(directory) };
  }

  #logPath(name: string): string {
    return join(this.directory, 'log', `${name}.log`);
  }

  /** A further data node, with a directory of its own. */
  async addNode(options: readonly string[] = []): Promise<ServerProcess> {
    const name = `node${this.nodes.length + 1}`;
    const directory = join(this.directory, name);
    const { machines } = this.#options;
    await machines?.addressOf(name);
    const node = new ServerProcess({
      name,
      program: 'data-node',
      parameters: port => [
        this.endpoint.host,
        String(port),
        directory,
        String(this.endpoint.port),
        ...options,
      ],
      directory,
      logPath: this.#logPath(name),
      env: this.#serverEnvironment(directory),
      prefix: machines?.prefixOf(name),
      ownExecutable: this.#options.ownExecutable,
      installation: () => this.#options.installationOf?.(name),
    });
    this.nodes.push(node);
    if (this.#options.prepareDirectory) {
      await mkdir(directory);
      await this.#options.prepareDirectory(directory);
    }
    await node.start();
    return node;
  }

  /** What is still mounted in the directory, innermost first. */
  async #leftMounts(): Promise<string[]> {
    const table = parseMountTable(await readFile('/proc/self/mountinfo', 'utf8'));
    const inside = table.filter(({ mountPoint }) => mountPoint.startsWith(`${this.directory}/`));
    return inside.map(({ mountPoint }) => mountPoint).toReversed();
  }
}

/**
 * Starts a metadata server, data nodes and mounts. Everything is stopped and removed when `t` ends; if it failed, the
 * ends of the logs are shown.
 */
export async function startCluster(t: Test, options: ClusterOptions): Promise<Cluster> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'dfs-cluster-')));
  const cluster = new Cluster(directory, options);
  t.teardown(async () => {
    if (!t.passing()) t.comment(cluster.logTails());
    await cluster.close();
  });
  await cluster.start();
  return cluster;
}
