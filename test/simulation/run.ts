/** One run of a whole cluster from a seed. */
import { sleep } from '../../src/platform/clock.js';
import { isSymlink, ROOT_INODE } from '../../src/protocol/file-mode.js';
import { WaitingChanges } from '../../src/client/log/waiting-changes.js';
import { Flight } from '../../src/vfs/flight.js';
import { SILENT_CLIENT_MS } from '../../src/protocol/limits.js';
import { hasCode } from '../../src/protocol/errors.js';
import { Cluster, type LiveClient, type Machine } from './cluster.js';
import { FAULT_KINDS, Faults, type FaultKind } from './faults.js';
import { BrokenPromise, History } from './history.js';
import { checkInvariants } from './invariants.js';
import { blockRegister, FILE_BLOCKS, ObservedFile } from './observed-file.js';
import type { PlantedBug } from './planted-bugs.js';
import { Workload } from './workload.js';
import { Scheduler, type Life } from './world/scheduler.js';
import { replaced } from './replaced.js';
import { SeededRandom } from './world/seeded-random.js';
import { SimulatedClock } from './world/simulated-clock.js';

/** How long things go wrong, and how long everything may take to be well again. */
const SHORTEST_MS = 1500;
const LONGEST_MS = 8000;
/** A few runs last so long that leases and sessions run out. */
const LONG_CHANCE = 0.08;
const LONG_MS = [20_000, 60_000] as const;
const SETTLE_MS = 1500;
const HEAL_LIMIT_MS = 120_000;
/** A client that was away for its lease, and its margin, had acknowledged what is lost before that. */
const AWAY_MS = 30_000;
/** A client's names wait so long for the bytes of files that were closed before, and a little more. */
const CLOSED_MS = 2000;
/** Data that nobody synced is on stable storage after this, also on a slow disk. */
const UNSYNCED_DATA_MS = 5000;

export interface RunOptions {
  readonly seed: number;
  readonly bug?: PlantedBug | undefined;
  /** Told of everything that happens. */
  readonly onTrace?: ((line: string) => void) | undefined;
}

export interface RunResult {
  readonly seed: number;
  /** Over everything that happened, in order. */
  readonly hash: string;
  /** What is wrong; undefined when every promise was kept. */
  readonly failure: string | undefined;
  readonly events: number;
  readonly simulatedMs: number;
  readonly operations: number;
  readonly succeeded: number;
  readonly faults: readonly FaultKind[];
}

/** Runs a cluster; never rejects. */
export async function simulate(options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  const broken = options.bug?.breakClients?.();
  const watched = run.watchOrder();
  let failure: string | undefined;
  try {
    await run.execute();
  } catch (error) {
    failure = error instanceof BrokenPromise ? error.message : describe(error);
  } finally {
    watched[Symbol.dispose]();
    broken?.[Symbol.dispose]();
  }
  return run.result(failure);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

class Run {
  readonly #seed: number;
  readonly #scheduler = new Scheduler();
  readonly #random: SeededRandom;
  readonly #cluster: Cluster;
  readonly #history: History;
  readonly #kinds: readonly FaultKind[];
  readonly #life: Life = { name: 'run', isDead: false, stoppedUntilMs: 0 };
  readonly #clock: SimulatedClock;
  /** Programs that run. */
  readonly #programs = new Set<Promise<void>>();
  #workload: Workload | undefined;
  #failure: unknown;

  constructor({ seed, bug, onTrace }: RunOptions) {
    this.#seed = seed;
    const random = new SeededRandom(seed);
    this.#random = random;
    this.#scheduler.onEvent = onTrace;
    this.#clock = new SimulatedClock(this.#scheduler, this.#life, 1, () => 0);
    this.#history = new History(
      () => this.#scheduler.nowMs,
      line => this.#scheduler.note(line),
    );
    const nodes = random.integer(3, random.isChance(0.2) ? 8 : 4);
    const clients = random.integer(2, random.isChance(0.2) ? 5 : 3);
    this.#cluster = new Cluster({
      scheduler: this.#scheduler,
      random: random.fork(),
      nodes,
      clients,
      goal: random.integer(1, 4),
      bug,
      onLog: onTrace && (line => onTrace(`${this.#scheduler.nowMs.toFixed(3)} LOG ${line.trim()}`)),
    });
    this.#cluster.onClientGivenUp = () => this.#history.loseAhead(AWAY_MS);
    this.#cluster.onReportedLoss = client => this.#history.reportLosses(AWAY_MS, client);
    const chance = random.pick([0, 0.15, 0.3, 1]);
    // Flipped bits forgive what is lost, and lock holders are cut off in long runs, so they are for few.
    const rare = new Map<FaultKind, number>([
      ['flip bit', 0.2],
      ['cut lock holder', 0.5],
    ]);
    this.#kinds = FAULT_KINDS.filter(
      kind => random.isChance(chance * (rare.get(kind) ?? 1)) || bug?.needs?.includes(kind) === true,
    );
  }

  result(failure: string | undefined): RunResult {
    const { hash, count, nowMs } = this.#scheduler;
    return {
      seed: this.#seed,
      hash,
      failure: failure && `after ${(nowMs / 1000).toFixed(3)} s: ${failure}`,
      events: count,
      simulatedMs: nowMs,
      operations: this.#workload?.tried ?? 0,
      succeeded: this.#workload?.succeeded ?? 0,
      faults: this.#kinds,
    };
  }

  async execute(): Promise<void> {
    const random = this.#random;
    const cluster = this.#cluster;
    const first = await this.#until('the cluster starts', async () => {
      await cluster.start(cluster.metadata);
      await Promise.all(cluster.nodes.map(async node => await cluster.start(node)));
      return await Promise.all(cluster.clients.map(async machine => await cluster.startClient(machine)));
    });
    const [client] = first;
    if (!client) throw new Error('there is no client');
    const places = await this.#until('the places are made', async () => await Workload.prepare(client));
    const workload: Workload = new Workload(
      this.#history,
      places,
      line => this.#scheduler.note(line),
      () => faults.nodePowerLossesMs.length > 0 || faults.flippedBits > 0,
    );
    this.#workload = workload;
    // A client that uses something alone for a while gets it to itself.
    const turnMs = random.isChance(0.6) ? random.between(200, 3000) : 0;
    if (turnMs > 0) workload.isTurnOf = machine => this.#turn(turnMs) === machine;
    if (this.#kinds.some(kind => kind === 'cut client' || kind === 'cut lock holder'))
      workload.watchWeight = 10;
    if (this.#kinds.includes('cut lock holder')) workload.longHoldChance = 0.8;
    const faults: Faults = new Faults({
      cluster,
      history: this.#history,
      random: random.fork(),
      clock: this.#clock,
      kinds: this.#kinds,
      pauseMs: random.between(400, 4000),
      note: line => this.#scheduler.note(line),
      lockHolders: workload.lockHolders,
      restartClient: machine => void this.#runClient(machine, random.fork()),
    });
    workload.mayCrash = name => faults.crash(name);
    for (const live of first) this.#runPrograms(live, random.fork());
    const isLong = this.#kinds.includes('cut lock holder') || random.isChance(LONG_CHANCE);
    const lastsMs = isLong ? random.between(...LONG_MS) : random.between(SHORTEST_MS, LONGEST_MS);
    void faults.run();
    await this.#pass(lastsMs);
    faults.heal();
    workload.isStopped = true;
    this.#scheduler.note('everything is healed');
    await this.#until('the programs end', async () => {
      while (this.#programs.size > 0) await sleep(this.#clock, 50);
    });
    await this.#pass(SETTLE_MS);
    await this.#until('the final check', async () => await this.#checkFinally(workload, faults));
    if (cluster.mispredictions > 0 && this.#kinds.length === 0) {
      throw new BrokenPromise(`${cluster.mispredictions} changes were foretold wrong`);
    }
    checkInvariants(cluster.metadataImage(), faults.nodePowerLossesMs.length > 0 || faults.flippedBits > 0);
  }

  /** Starts the process of a client that was killed, and its programs. */
  async #runClient(machine: Machine, random: SeededRandom): Promise<void> {
    const live = await this.#cluster.startClient(machine);
    if (this.#workload?.isStopped === false) this.#runPrograms(live, random);
  }

  #runPrograms(live: LiveClient, random: SeededRandom): void {
    const workload = this.#workload;
    if (!workload) return;
    const { life } = live.machine;
    const busyness = random.between(0.3, 1.5);
    const running: Promise<void>[] = [];
    for (let count = random.integer(1, 4); count > 0; count -= 1) {
      const program = workload.runProgram(live, random.fork(), busyness).catch((error: unknown) => {
        this.#failure ??= error;
      });
      running.push(program);
      this.#programs.add(program);
      void program.finally(() => this.#programs.delete(program));
    }
    // A program whose process was killed does not end.
    const watch = (): void => {
      if (life?.isDead === true) for (const program of running) this.#programs.delete(program);
      else this.#clock.setTimer(250, watch);
    };
    watch();
  }

  /**
   * A client that is gone may have had something to itself, or a lease, which is taken from it some time after somebody asks for
   * something; and a server that is started anew counts that time anew.
   */
  async #answered<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    const untilMs = this.#clock.monotonicMs() + SILENT_CLIENT_MS;
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!hasCode(error, 'EIO') || this.#clock.monotonicMs() > untilMs) throw error;
      }
    }
  }

  async #checkFinally(workload: Workload, faults: Faults): Promise<void> {
    const history = this.#history;
    const { nodePowerLossesMs, flippedBits } = faults;
    const [machine] = this.#cluster.clients;
    if (!machine) throw new Error('there is no client');
    if (machine.life) history.loseAhead(faults.unsentMs, machine.life.name);
    this.#cluster.kill(machine, false);
    const fresh = await this.#cluster.startClient(machine);
    await this.#answered(async () => await fresh.vfs.getattr(ROOT_INODE));
    /** inode → its names */
    const names = new Map<number, number>();
    for (const directory of workload.places.directories) {
      const listed = await this.#answered(async () => await workload.list(fresh, directory));
      for (const inode of listed.values()) {
        names.set(inode, (names.get(inode) ?? 0) + 1);
      }
    }
    for (const [inode, count] of names) {
      const { nlink, mode, size } = await this.#answered(async () => await fresh.vfs.getattr(inode));
      if (nlink !== count) throw new BrokenPromise(`inode ${inode} has ${count} names and says ${nlink}`);
      if (isSymlink(mode)) {
        const target = await fresh.vfs.readlink(inode);
        if (target.length !== size)
          throw new BrokenPromise(`link ${inode} to ${target.toString()} has ${size} bytes`);
        continue;
      }
      const file = await ObservedFile.open(fresh, history, inode, false);
      for (let block = 0; block < FILE_BLOCKS; block += 1) {
        try {
          await file.read(block, 1);
        } catch (error) {
          if (!hasCode(error, 'EIO')) throw error;
          const register = blockRegister(inode, block);
          const mayBeLost =
            flippedBits > 0 || history.mayHaveLostContent(register, nodePowerLossesMs, UNSYNCED_DATA_MS);
          if (!mayBeLost) throw new BrokenPromise(`${register} was fsynced, and is lost: ${describe(error)}`);
        }
      }
      await file.close();
    }
    const check = async (work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        if (!hasCode(error, 'EIO') || (flippedBits === 0 && nodePowerLossesMs.length === 0)) throw error;
      }
    };
    await check(async () => await workload.readJournal(fresh));
    for (const name of await workload.markers(fresh)) {
      await check(async () => await workload.checkMarked(fresh, name));
    }
  }

  /** Notes, until `dispose`, when clients do not wait for data nodes that are away, or have to store anew what the server refused. */
  watchOrder(): Disposable {
    const forgive = (): void => this.#history.forgiveOrder(CLOSED_MS);
    const { passOver } = WaitingChanges.prototype;
    const { storeAnew } = Flight.prototype;
    const watched = [
      replaced(WaitingChanges.prototype, 'passOver', function (this: WaitingChanges, untilMs) {
        const passed = passOver.call(this, untilMs);
        if (passed > 0) forgive();
        return passed;
      }),
      replaced(Flight.prototype, 'storeAnew', function (this: Flight) {
        forgive();
        storeAnew.call(this);
      }),
    ];
    return {
      [Symbol.dispose]: () => {
        for (const each of watched) each[Symbol.dispose]();
      },
    };
  }

  /** Whose turn it is, when each has so much time. */
  #turn(turnMs: number): Machine | undefined {
    const { clients } = this.#cluster;
    return clients[Math.floor(this.#scheduler.nowMs / turnMs) % clients.length];
  }

  /** Lets time pass. */
  async #pass(ms: number): Promise<void> {
    await this.#scheduler.run(() => this.#failure !== undefined, this.#scheduler.nowMs + ms);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Runs the cluster until `work` is done, which must not take long. */
  async #until<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    let outcome: { readonly value: Result } | { readonly error: unknown } | undefined;
    const limitMs = this.#scheduler.nowMs + HEAL_LIMIT_MS;
    void work().then(
      value => (outcome = { value }),
      (error: unknown) => (outcome = { error }),
    );
    await this.#scheduler.run(() => outcome !== undefined || this.#failure !== undefined, limitMs);
    if (this.#failure !== undefined) throw this.#failure;
    if (!outcome) throw new BrokenPromise(`waited in vain for ${HEAL_LIMIT_MS / 1000} s: ${what}`);
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }
}
