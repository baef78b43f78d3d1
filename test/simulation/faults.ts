/** What goes wrong, and when. A run has some of the kinds, so that each also comes alone. */
import { sleep, type Clock } from '../../src/platform/clock.js';
import type { Cluster, LiveClient, Machine } from './cluster.js';
import type { History } from './history.js';
import type { SeededRandom } from './world/seeded-random.js';

/** docs/decisions/04: after a power loss at most a second of what was acknowledged is gone. */
const UNSYNCED_METADATA_MS = 1000;
/** The same of what a client that is killed had acknowledged before it told the server, which takes all it is sent at once. */
const UNSENT_MS = 1000;
/** And when servers or the client itself were away meanwhile. */
const UNSENT_DELAYED_MS = 15_000;
/** These keep no client from sending what it has acknowledged. */
const WITHOUT_DELAY: ReadonlySet<FaultKind> = new Set(['kill client', 'flip bit', 'clock jumps']);
const HOLDER_POLL_MS = 100;
const HOUR_MS = 3_600_000;
/** The server gives the locks of a client away that it has not heard of for five seconds. */
const CUT_HOLDER_MS = [5500, 10_000] as const;

export const FAULT_KINDS = [
  'kill metadata',
  'kill node',
  'kill client',
  'power metadata',
  'power node',
  'power everything',
  'stop client',
  'stop server',
  'cut client',
  'cut lock holder',
  'cut node',
  'break connections',
  'slow disk',
  'full disk',
  'slow network',
  'flip bit',
  'clock jumps',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface FaultOptions {
  readonly cluster: Cluster;
  readonly history: History;
  readonly random: SeededRandom;
  readonly clock: Clock;
  readonly kinds: readonly FaultKind[];
  /** The mean time from one fault to the next. */
  readonly pauseMs: number;
  readonly note: (line: string) => void;
  /** Who has a lock. */
  readonly lockHolders: ReadonlySet<LiveClient>;
  /** A client's machine is to run again. */
  readonly restartClient: (machine: Machine) => void;
}

export class Faults {
  readonly #options: FaultOptions;
  /** When data nodes lost their power, in simulated ms. */
  readonly nodePowerLossesMs: number[] = [];
  flippedBits = 0;
  #isOver = false;

  constructor(options: FaultOptions) {
    this.#options = options;
  }

  /** How old what a client has acknowledged is at most, while no server has it. */
  get unsentMs(): number {
    const isDelayed = this.#options.kinds.some(kind => !WITHOUT_DELAY.has(kind));
    return isDelayed ? UNSENT_DELAYED_MS : UNSENT_MS;
  }

  /** Lets things go wrong until `heal`. */
  async run(): Promise<void> {
    const { clock, random, kinds, pauseMs } = this.#options;
    if (kinds.length === 0) return;
    while (!this.#isOver) {
      await sleep(clock, random.between(0.2, 1.8) * pauseMs);
      if (this.#isOver) return;
      this.#happen(random.pick(kinds));
    }
  }

  /** kill -9 of a client's process, if it still runs, in a run whose clients are killed. */
  crash(client: string): void {
    const { cluster, random, kinds, note } = this.#options;
    const machine = cluster.clients.find(({ life }) => life?.name === client);
    if (this.#isOver || !machine || !random.isChance(kinds.includes('kill client') ? 0.5 : 0.1)) return;
    note(`FAULT crash of ${client}`);
    this.#kill(machine, false);
  }

  /** Everything works again, and everybody runs. */
  heal(): void {
    const { cluster, restartClient } = this.#options;
    this.#isOver = true;
    cluster.network.heal();
    cluster.network.slowChance = 0;
    for (const machine of [...cluster.servers, ...cluster.clients]) {
      const { disk, life } = machine;
      machine.clockJumpMs = 0;
      disk.faults.slowness = 1;
      disk.faults.isFull = false;
      if (life) life.stoppedUntilMs = 0;
    }
    for (const machine of cluster.servers) if (machine.life?.isDead) void cluster.start(machine);
    for (const machine of cluster.clients) if (machine.life?.isDead) restartClient(machine);
  }

  #happen(kind: FaultKind): void {
    const { cluster, random, note } = this.#options;
    const client = random.pick(cluster.clients);
    const node = random.pick(cluster.nodes);
    note(`FAULT ${kind} (${client.name}, ${node.name})`);
    switch (kind) {
      case 'kill metadata':
        this.#kill(cluster.metadata, false);
        break;
      case 'kill node':
        this.#kill(node, false);
        break;
      case 'kill client':
        this.#kill(client, random.isChance(0.5));
        break;
      case 'power metadata':
        this.#kill(cluster.metadata, true);
        break;
      case 'power node':
        this.#kill(node, true);
        break;
      case 'power everything':
        for (const machine of cluster.servers) this.#kill(machine, true);
        break;
      case 'stop client':
        this.#stop(client, random.between(100, random.isChance(0.4) ? 45_000 : 3000));
        break;
      case 'stop server':
        this.#stop(random.pick(cluster.servers), random.between(100, 4000));
        break;
      case 'cut client':
        this.#cut(client, random.isChance(0.6) ? [cluster.metadata] : cluster.servers, 40_000);
        // Something on the way, or the server's own system, gives the connection up.
        if (random.isChance(0.5)) cluster.network.breakAt(cluster.metadata.host, client.host);
        break;
      case 'cut lock holder':
        void this.#cutLockHolder();
        break;
      case 'cut node':
        this.#cut(node, [...cluster.servers, ...cluster.clients], 10_000);
        break;
      case 'break connections':
        for (let count = random.integer(1, 6); count > 0; count -= 1) {
          cluster.network.breakOne(random.isChance(0.4));
        }
        break;
      case 'slow disk':
        this.#forAWhile(
          8000,
          () => (node.disk.faults.slowness = random.between(5, 100)),
          () => {
            node.disk.faults.slowness = 1;
          },
        );
        break;
      case 'full disk':
        this.#forAWhile(
          6000,
          () => (node.disk.faults.isFull = true),
          () => {
            node.disk.faults.isFull = false;
          },
        );
        break;
      case 'slow network':
        this.#forAWhile(
          5000,
          () => (cluster.network.slowChance = 0.5),
          () => {
            cluster.network.slowChance = 0.01;
          },
        );
        break;
      case 'clock jumps':
        this.#jump(random.pick([...cluster.servers, ...cluster.clients]));
        break;
      case 'flip bit':
        this.flippedBits += 1;
        // One node's only: a chunk whose replicas are all bad is lost.
        note(`flipped ${cluster.nodes[0]?.disk.flipBit('.seg') ?? 'nothing'}`);
        break;
    }
  }

  #kill(machine: Machine, isPowerLoss: boolean): void {
    const { cluster, history, random, clock, restartClient } = this.#options;
    if (!machine.life || machine.life.isDead) return;
    if (cluster.clients.includes(machine)) history.loseAhead(this.unsentMs, machine.life.name);
    cluster.kill(machine, isPowerLoss);
    // What it had answered last may have waited with its client before, for servers that were away.
    if (isPowerLoss && machine === cluster.metadata)
      history.losePower(UNSYNCED_METADATA_MS + this.unsentMs - UNSENT_MS);
    if (isPowerLoss && cluster.nodes.includes(machine)) this.nodePowerLossesMs.push(cluster.scheduler.nowMs);
    const restart = (): void => {
      if (machine.life?.isDead !== true) return;
      if (cluster.clients.includes(machine)) restartClient(machine);
      else void cluster.start(machine);
    };
    const deadMs = random.between(50, random.isChance(0.2) ? 15_000 : 2000);
    history.delayedMs += deadMs;
    clock.setTimer(deadMs, restart);
  }

  /** Waits for somebody to have a lock, and cuts him off for long enough that the server gives it to somebody else. */
  async #cutLockHolder(): Promise<void> {
    const { cluster, clock, lockHolders, random } = this.#options;
    while (lockHolders.size === 0 && !this.#isOver) await sleep(clock, HOLDER_POLL_MS);
    if (this.#isOver) return;
    for (const { machine } of lockHolders) {
      cluster.network.breakAt(cluster.metadata.host, machine.host);
      this.#cutFor(machine, [cluster.metadata], false, random.between(...CUT_HOLDER_MS));
    }
  }

  /** By an hour or more, in either direction; most are set right again. */
  #jump(machine: Machine): void {
    const { random } = this.#options;
    const byMs = random.between(1, 30) * HOUR_MS * (random.isChance(0.5) ? 1 : -1);
    this.#forAWhile(
      5000,
      () => (machine.clockJumpMs = byMs),
      () => {
        machine.clockJumpMs = 0;
      },
    );
  }

  #stop(machine: Machine, forMs: number): void {
    const { cluster, history } = this.#options;
    if (!machine.life) return;
    machine.life.stoppedUntilMs = cluster.scheduler.nowMs + forMs;
    history.delayedMs += forMs;
  }

  #cut(machine: Machine, others: readonly Machine[], longestMs: number): void {
    const { random } = this.#options;
    const isOneWay = random.isChance(0.3);
    const forMs = random.between(0.1, 1) * (random.isChance(0.4) ? longestMs : 3000);
    this.#cutFor(machine, others, isOneWay, forMs);
  }

  #cutFor(machine: Machine, others: readonly Machine[], isOneWay: boolean, forMs: number): void {
    const { cluster, history, clock } = this.#options;
    const mends = others.flatMap(other => [
      cluster.network.cut(machine.host, other.host),
      ...(isOneWay ? [] : [cluster.network.cut(other.host, machine.host)]),
    ]);
    history.delayedMs += forMs;
    clock.setTimer(forMs, () => {
      for (const mend of mends) mend();
    });
  }

  #forAWhile(longestMs: number, begin: () => void, end: () => void): void {
    const { clock, random } = this.#options;
    begin();
    clock.setTimer(random.between(0.1, 1) * longestMs, end);
  }
}
