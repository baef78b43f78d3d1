/** `dfs1`, `dfs2`: a metadata server, three data nodes and one or several mounts of this clone. */
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Cluster, shell, waitUntil } from '../support/cluster.js';
import { inClone } from '../support/programs.js';
import { descendantsOf, endDaemons, runningExecutable, type FindDaemons } from './daemons.js';
import { quoted, unmountCommand, type Sharing, type Subject, type Workplace } from './subject.js';
import { unmount } from './unmount.js';

const DATA_NODES = 3;
const STORE_MS = 60_000;
const END_MS = 20_000;

export class DfsSubject implements Subject {
  readonly directory: string;
  readonly executables: readonly string[];
  readonly findDaemons: FindDaemons;
  readonly sharing: Sharing;
  readonly #workplace: Workplace;
  readonly #goal: number;
  readonly #cluster: Cluster;
  /** The mount points of `sharing`. */
  readonly #further: string[] = [];
  #isStarted = false;

  constructor(workplace: Workplace, goal: number) {
    const { directory, node } = workplace;
    this.#workplace = workplace;
    this.#goal = goal;
    this.directory = join(directory, 'mount');
    this.executables = [basename(node)];
    this.findDaemons = runningExecutable(node);
    this.#cluster = new Cluster(join(directory, 'cluster'), { dataNodes: DATA_NODES, ownExecutable: node });
    this.sharing = {
      addMount: async () => await this.#addMount(),
      metadataPids: async () => await descendantsOf(this.#cluster.metadata.pid),
    };
  }

  get remount(): string {
    return `${unmountCommand(this.directory)} && ${this.#mountCommand(this.directory)}`;
  }

  async start(): Promise<void> {
    await mkdir(this.#cluster.directory);
    await mkdir(this.directory);
    this.#isStarted = true;
    await this.#cluster.start();
    await shell(this.#mountCommand(this.directory));
  }

  async close(): Promise<void> {
    if (!this.#isStarted) return;
    this.#isStarted = false;
    try {
      for (const mountPoint of [...this.#further.splice(0), this.directory]) await unmount(mountPoint);
      // The mounts' processes store what was written, for which they need the servers.
      await waitUntil(async () => (await this.findDaemons()).length <= DATA_NODES + 1, {
        deadlineMs: STORE_MS,
        what: 'the mounts have stored everything',
      });
    } finally {
      try {
        await this.#cluster.close();
      } finally {
        await endDaemons(this.findDaemons, END_MS);
      }
    }
  }

  async #addMount(): Promise<string> {
    const mountPoint = `${this.directory}${this.#further.length + 2}`;
    await mkdir(mountPoint);
    this.#further.push(mountPoint);
    await shell(this.#mountCommand(mountPoint));
    return mountPoint;
  }

  #mountCommand(mountPoint: string): string {
    const { directory, node } = this.#workplace;
    const program = [node, inClone('bin/dfs')].map(quoted).join(' ');
    const log = quoted(join(directory, 'mount.log'));
    const options = `--background --goal=${this.#goal} --log-file=${log} --key-file=${quoted(this.#cluster.keyPath)}`;
    return `${program} mount ${this.#cluster.metadata.address} ${quoted(mountPoint)} ${options}`;
  }
}
