/**
 * `moosefs1`, `moosefs2`: MooseFS with a master, three chunk servers and one or several mounts, from Debian's packages. It runs in a
 * network namespace of its own, so that its fixed ports are nobody else's.
 */
import { copyFile, mkdir, readFile, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasProgram } from '../support/find-program.js';
import { shell } from '../support/programs.js';
import { waitUntil } from '../support/wait-until.js';
import { runningProgram, type FindDaemons } from './daemons.js';
import { OwnNetwork } from './own-network.js';
import { quoted, unmountCommand, type Sharing, type Subject, type Workplace } from './subject.js';
import { unmount } from './unmount.js';

const PACKAGES = ['moosefs-master', 'moosefs-chunkserver', 'moosefs-client'];
const PROGRAMS = ['mfsmaster', 'mfschunkserver', 'mfsmount', 'mfssetgoal', 'ip', 'nsenter'];
const MASTER = 'mfsmaster';
const SERVERS = [MASTER, 'mfschunkserver', 'mfsmount'];
/** The master's for chunk servers, as /proc/net/tcp writes it. */
const CHUNK_SERVERS_PORT = ':24CC';
const ESTABLISHED = '01';
const CHUNK_SERVERS = 3;
const FIRST_PORT = 9501;
const EMPTY_METADATA = '/var/lib/mfs/metadata.mfs.empty';
const NEW_METADATA = 'MFSM NEW';
const STEADY_MS = 2000;

/** What to do, in a sentence, where MooseFS cannot be measured. */
export function whyNoMoosefs(): string | undefined {
  const missing = PROGRAMS.filter(name => !hasProgram(name));
  if (missing.length === 0) return undefined;
  return `MooseFS cannot be measured without ${missing.join(', ')}: apt-get install ${PACKAGES.join(' ')} iproute2 util-linux (as root)`;
}

export class MoosefsSubject implements Subject {
  readonly directory: string;
  readonly remount: string;
  readonly executables = SERVERS;
  readonly findDaemons: FindDaemons;
  readonly whyNoFsync = 'its fsync returns when its servers have the bytes in memory';
  readonly sharing: Sharing;
  readonly #workplace: Workplace;
  readonly #goal: number;
  readonly #network = new OwnNetwork();
  /** The mount points of `sharing`. */
  readonly #further: string[] = [];

  constructor(workplace: Workplace, goal: number) {
    this.#workplace = workplace;
    this.#goal = goal;
    this.directory = join(workplace.directory, 'mount');
    this.remount = `${unmountCommand(this.directory)} && ${this.#mountCommand(this.directory)}`;
    this.findDaemons = this.#network.findDaemons;
    this.sharing = {
      addMount: async () => await this.#addMount(),
      metadataPids: async () => await runningProgram(await this.findDaemons(), MASTER),
    };
  }

  async start(): Promise<void> {
    const { directory } = this.#workplace;
    await mkdir(this.directory);
    await this.#network.make();
    await this.#startServer(MASTER, await this.#configureMaster());
    for (let number = 1; number <= CHUNK_SERVERS; number += 1) {
      await this.#startServer('mfschunkserver', await this.#configureChunkServer(number));
    }
    await waitUntil(async () => (await this.#connectedChunkServers()) === CHUNK_SERVERS, {
      what: `every chunk server is connected (see ${directory}/log)`,
    });
    await shell(this.#mountCommand(this.directory));
    await this.#untilAllSpaceIsKnown();
    await shell(`${this.#network.inside} mfssetgoal ${this.#goal} ${quoted(this.directory)}`);
  }

  async close(): Promise<void> {
    for (const mountPoint of [...this.#further.splice(0), this.directory]) await unmount(mountPoint);
    await this.#network.remove();
  }

  async #addMount(): Promise<string> {
    const mountPoint = `${this.directory}${this.#further.length + 2}`;
    await mkdir(mountPoint);
    this.#further.push(mountPoint);
    await shell(this.#mountCommand(mountPoint));
    return mountPoint;
  }

  #mountCommand(mountPoint: string): string {
    return `${this.#network.inside} mfsmount -H ${this.#network.address} ${quoted(mountPoint)} ${this.#logged}`;
  }

  /** Servers go into the background, and would keep a pipe open. */
  get #logged(): string {
    return `</dev/null >>${quoted(join(this.#workplace.directory, 'log'))} 2>&1`;
  }

  async #startServer(program: string, configuration: string): Promise<void> {
    await shell(`${this.#network.inside} ${program} -c ${quoted(configuration)} start ${this.#logged}`);
  }

  async #configureMaster(): Promise<string> {
    const data = await this.#makeDirectory('master');
    const metadata = join(data, 'metadata.mfs');
    await copyFile(EMPTY_METADATA, metadata).catch(async () => await writeFile(metadata, NEW_METADATA));
    const exportsPath = await this.#write('mfsexports.cfg', ['* / rw,alldirs,maproot=0']);
    return await this.#write('mfsmaster.cfg', [
      ...user(data),
      `EXPORTS_FILENAME = ${exportsPath}`,
      `MATOML_LISTEN_HOST = ${this.#network.address}`,
      `MATOCS_LISTEN_HOST = ${this.#network.address}`,
      `MATOCL_LISTEN_HOST = ${this.#network.address}`,
    ]);
  }

  async #configureChunkServer(number: number): Promise<string> {
    const data = await this.#makeDirectory(`chunkserver${number}`);
    const disk = await this.#makeDirectory(`disk${number}`);
    const disks = await this.#write(`mfshdd${number}.cfg`, [disk]);
    return await this.#write(`mfschunkserver${number}.cfg`, [
      ...user(data),
      `HDD_CONF_FILENAME = ${disks}`,
      `MASTER_HOST = ${this.#network.address}`,
      `BIND_HOST = ${this.#network.address}`,
      `CSSERV_LISTEN_HOST = ${this.#network.address}`,
      `CSSERV_LISTEN_PORT = ${FIRST_PORT + number - 1}`,
      'HDD_LEAVE_SPACE_DEFAULT = 1GiB',
    ]);
  }

  async #makeDirectory(name: string): Promise<string> {
    const path = join(this.#workplace.directory, name);
    await mkdir(path);
    return path;
  }

  async #write(name: string, lines: readonly string[]): Promise<string> {
    const path = join(this.#workplace.directory, name);
    await writeFile(path, `${lines.join('\n')}\n`);
    return path;
  }

  /** Chunk servers that are connected tell what room they have a moment later, one after the other. */
  async #untilAllSpaceIsKnown(): Promise<void> {
    let [lastBlocks, sinceMs] = [0, performance.now()];
    const isSteady = async (): Promise<boolean> => {
      const { blocks } = await statfs(this.directory);
      if (blocks !== lastBlocks) [lastBlocks, sinceMs] = [blocks, performance.now()];
      return blocks > 0 && performance.now() - sinceMs > STEADY_MS;
    };
    await waitUntil(isSteady, { what: 'the chunk servers have told what room they have' });
  }

  /** proc_pid_net(5) of any process in the namespace tells the namespace's connections. */
  async #connectedChunkServers(): Promise<number> {
    const [pid] = await this.findDaemons();
    if (pid === undefined) return 0;
    const table = await readFile(`/proc/${pid}/net/tcp`, 'utf8');
    const rows = table.split('\n').map(line => line.trim().split(/\s+/));
    return rows.filter(([, , remote, state]) => remote?.endsWith(CHUNK_SERVERS_PORT) && state === ESTABLISHED)
      .length;
  }
}

function user(dataPath: string): string[] {
  return ['WORKING_USER = root', 'WORKING_GROUP = root', `DATA_PATH = ${dataPath}`];
}
