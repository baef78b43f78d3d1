/** A metadata server, data nodes and clients in one process, on simulated machines that can be killed and started. */
import Database from 'better-sqlite3';
import { pino } from 'pino';
import { Client } from '../../src/client/client.js';
import { DataNode } from '../../src/datanode/data-node.js';
import { fillDatabase } from '../../src/metadata/create-database.js';
import { MetadataService } from '../../src/metadata/metadata-service.js';
import { askOver } from '../../src/metadata/reach-probe.js';
import { metadataRoutes } from '../../src/metadata/routes.js';
import { SqliteStore } from '../../src/metadata/store/sqlite/sqlite-store.js';
import type { Store } from '../../src/metadata/store/store.js';
import { sleep, type Clock } from '../../src/platform/clock.js';
import { type Logger } from '../../src/platform/log.js';
import { RpcServer } from '../../src/rpc/server.js';
import { Vfs } from '../../src/vfs/vfs.js';
import { KeptNames } from './kept-names.js';
import type { PlantedBug } from './planted-bugs.js';
import { chooseLimits, type RunLimits } from './run-limits.js';
import type { Life, Scheduler } from './world/scheduler.js';
import { SeededRandom } from './world/seeded-random.js';
import { SimulatedClock } from './world/simulated-clock.js';
import { SimulatedDisk } from './world/simulated-disk.js';
import { SimulatedNetwork } from './world/simulated-network.js';
import { AS_CLIENT, TEST_KEYS } from '../support/test-keys.js';

const DATABASE = '/dfs/metadata.db';
const METADATA = { host: '127.0.0.1', port: 7000 };
const NODE_PORT = 7100;
/** How fast clocks may run, and by how much they may be wrong; leases bear a fifth, and grants ten minutes. */
const CLOCK_RATES = [0.98, 1.02] as const;
const CLOCK_OFFSETS_MS = [-200, 200] as const;
const RESTART_PAUSE_MS = 500;
export const CLIENT_TIMEOUT_MS = 6000;
/** How long chunks that nobody refers to are kept: short, so that they are collected in a run at all. */
export const GRACE_MS = 4000;

/** A machine, and the process that runs on it, if any. */
export class Machine {
  readonly name: string;
  readonly host: string;
  readonly disk: SimulatedDisk;
  life: Life | undefined;
  isUp = false;
  /** How far somebody has set its wall clock. */
  clockJumpMs = 0;

  constructor(name: string, host: string, disk: SimulatedDisk) {
    this.name = name;
    this.host = host;
    this.disk = disk;
  }
}

/** A client while its process lives. */
export interface LiveClient {
  readonly machine: Machine;
  /** Tells apart the processes that ran one after the other. */
  readonly id: string;
  readonly vfs: Vfs;
  /** A further client in the same process, which nobody tells what changes. */
  readonly uncached: Client;
  readonly names: KeptNames;
  readonly clock: Clock;
}

/** What a client logs when something that it acknowledged is not done. */
const REPORTED_LOSSES = [
  'changes that a program was told are done are not',
  'what was written is not stored',
];
/** What the metadata server logs when it goes on without a client. */
const CLIENTS_GIVEN_UP = [
  'the lease of a session that does not answer ran out',
  'a session that does not answer a recall is ended',
  'a client is gone, and what it had acknowledged',
];

export interface ClusterOptions {
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  readonly nodes: number;
  readonly clients: number;
  readonly goal: number;
  readonly bug: PlantedBug | undefined;
  /** What the programs log goes there. */
  readonly onLog: ((line: string) => void) | undefined;
}

export class Cluster {
  readonly scheduler: Scheduler;
  readonly network: SimulatedNetwork;
  readonly metadata: Machine;
  readonly nodes: Machine[] = [];
  readonly clients: Machine[] = [];
  readonly random: SeededRandom;
  readonly #options: ClusterOptions;
  readonly #log: Logger;
  readonly #limits: RunLimits;
  #lives = 0;

  constructor(options: ClusterOptions) {
    const { scheduler, random, nodes, clients, onLog, bug } = options;
    this.#options = options;
    this.scheduler = scheduler;
    this.random = random;
    this.network = new SimulatedNetwork(scheduler, random.fork());
    this.#limits = chooseLimits(this.random);
    const write = (line: string): void => {
      onLog?.(line);
      if (CLIENTS_GIVEN_UP.some(message => line.includes(message))) this.onClientGivenUp();
      if (REPORTED_LOSSES.some(message => line.includes(message))) this.onReportedLoss(clientOf(line));
    };
    this.#log = pino({ level: onLog ? 'info' : 'warn', timestamp: false, base: null }, { write });
    const machine = (name: string, host: string): Machine =>
      new Machine(name, host, new SimulatedDisk(scheduler, random.fork()));
    this.metadata = machine('metadata', METADATA.host);
    for (let index = 1; index <= nodes; index += 1) {
      this.nodes.push(machine(`node${index}`, `127.0.1.${index}`));
    }
    for (let index = 1; index <= clients; index += 1) {
      this.clients.push(machine(`client${index}`, `127.0.2.${index}`));
    }
    for (const each of this.servers) bug?.breakDisk?.(each.disk);
    this.metadata.disk.putDatabase(DATABASE, emptyDatabase());
  }

  get servers(): Machine[] {
    return [this.metadata, ...this.nodes];
  }

  /** Told when a client that was away lost what it had to itself, and what it had not sent. */
  onClientGivenUp: () => void = () => undefined;
  /** Told when a client says that something which it had acknowledged is not done. */
  onReportedLoss: (client: string) => void = () => undefined;
  /** How often a client foretold something else than what the server did. */
  mispredictions = 0;

  /** The metadata as a server that starts now would find it. */
  metadataImage(): Buffer {
    const image = this.metadata.disk.databaseImage(DATABASE);
    if (!image) throw new Error('there is no metadata database');
    return image;
  }

  /** Starts the process of a server; tries again until it runs, or is killed. */
  async start(machine: Machine): Promise<void> {
    const life = this.#begin(machine);
    for (;;) {
      try {
        if (machine === this.metadata) await this.#startMetadata(machine, life);
        else await this.#startNode(machine, life);
        machine.isUp = true;
        return;
      } catch (error) {
        this.scheduler.note(`${machine.name} did not start: ${String(error)}`);
        await sleep(new SimulatedClock(this.scheduler, life, 1, () => 0), RESTART_PAUSE_MS);
      }
    }
  }

  /** Starts a client; tries again until the metadata server answers it. */
  async startClient(machine: Machine): Promise<LiveClient> {
    const life = this.#begin(machine);
    const clock = this.#clock(machine, life);
    const random = this.random.fork();
    for (;;) {
      try {
        const options = {
          metadata: METADATA,
          timeoutMs: CLIENT_TIMEOUT_MS,
          cacheBytes: this.#limits.cacheBytes,
          chunkBytes: 8 << 10,
          limits: this.#limits.client,
          clientName: life.name,
          onMisprediction: () => {
            this.mispredictions += 1;
          },
          network: this.network.interfaceOf(machine.host, life),
          clock,
          random,
          log: this.#log.child({ client: life.name }),
          ...AS_CLIENT,
        };
        const vfs = await Vfs.open({
          ...options,
          goal: this.#options.goal,
          dirtyBytes: this.#limits.dirtyBytes,
          readAheadBytes: 0,
        });
        const uncached = await Client.open(options);
        const names = new KeptNames(vfs, this.#options.bug?.ignoresRevocation?.(random));
        await names.begin();
        machine.isUp = true;
        return { machine, id: life.name, vfs, uncached, names, clock };
      } catch (error) {
        this.scheduler.note(`${machine.name} did not start: ${String(error)}`);
        await sleep(clock, RESTART_PAUSE_MS);
      }
    }
  }

  /** kill -9 of the machine's process, or with `isPowerLoss` the end of everything that it had not synced. */
  kill(machine: Machine, isPowerLoss: boolean): void {
    const { life } = machine;
    machine.isUp = false;
    if (!life || life.isDead) return;
    life.isDead = true;
    if (isPowerLoss) this.network.darkHosts.add(machine.host);
    this.network.endOf(life, isPowerLoss);
    machine.disk.processEnded(life);
    if (isPowerLoss) machine.disk.losePower();
  }

  #begin(machine: Machine): Life {
    this.#lives += 1;
    const life = { name: `${machine.name}.${this.#lives}`, isDead: false, stoppedUntilMs: 0 };
    machine.life = life;
    this.network.darkHosts.delete(machine.host);
    return life;
  }

  #clock(machine: Machine, life: Life): Clock {
    const rate = this.random.between(...CLOCK_RATES);
    const offsetMs = this.random.between(...CLOCK_OFFSETS_MS);
    return new SimulatedClock(this.scheduler, life, rate, () => offsetMs + machine.clockJumpMs);
  }

  async #startMetadata(machine: Machine, life: Life): Promise<void> {
    const { bug } = this.#options;
    const clock = this.#clock(machine, life);
    const network = this.network.interfaceOf(machine.host, life);
    const random = this.random.fork();
    const log = this.#log;
    const keys = TEST_KEYS;
    const opened: Store = await SqliteStore.open(DATABASE, log, machine.disk.interfaceOf(life));
    const store = bug?.breakStore?.(opened, clock) ?? opened;
    const options = {
      durability: 'group',
      graceMs: GRACE_MS,
      ...this.#limits.server,
      clock,
      random,
      log,
      askIdentity: askOver({ network, clock, random, log, keys }),
    } as const;
    const service = bug?.makeService?.(store, options) ?? new MetadataService(store, options);
    await service.start();
    const routes = metadataRoutes(service);
    const kind = 'metadata';
    await new RpcServer({ network, clock, random, log, keys, kind, endpoint: METADATA, routes }).start();
  }

  async #startNode(machine: Machine, life: Life): Promise<void> {
    const node = new DataNode({
      metadata: METADATA,
      directory: `/dfs/${machine.name}`,
      host: machine.host,
      port: NODE_PORT,
      network: this.network.interfaceOf(machine.host, life),
      clock: this.#clock(machine, life),
      random: this.random.fork(),
      keys: TEST_KEYS,
      disk: machine.disk.interfaceOf(life),
      log: this.#log,
      ...this.#limits.node,
    });
    await node.start();
  }
}

/** Which client logged a line. */
function clientOf(line: string): string {
  const { client } = JSON.parse(line) as { client?: unknown };
  if (typeof client !== 'string') throw new Error(`no client says: ${line}`);
  return client;
}

let emptyImage: Buffer | undefined;

/** The database of a new cluster; the same in every run. */
function emptyDatabase(): Buffer {
  if (emptyImage) return emptyImage;
  const database = new Database(':memory:');
  fillDatabase(database, {
    clock: {
      monotonicMs: () => 0,
      now: () => ({ sec: 1_700_000_000, nsec: 0 }),
      setTimer: () => ({ cancel: () => undefined }),
      atNextTurn: () => undefined,
    },
    random: new SeededRandom(1),
  });
  emptyImage = database.serialize();
  database.close();
  return emptyImage;
}
