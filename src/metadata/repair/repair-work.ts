/**
 * Gives every chunk as many replicas as its goal says, in the background (docs/decisions/07).
 *
 *     nodes or goals changed ──► scan of all chunks ──► queue, most endangered first ──► copies, so many bytes a second
 *     a chunk was noted ─────────────────────────────────┘                                 │
 *                               failures are found by the next scan ◄─────────────────────┘
 *
 * Records change only in transactions that look at the chunk as it is at that moment, so that users' changes come first.
 * A copy that was made and not recorded is found by the node's inventory.
 */
import type { Clock, Timer } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { toDfsError } from '../../protocol/errors.js';
import type { RequestOf } from '../../protocol/command.js';
import type { replicate } from '../../protocol/datanode-commands.js';
import type { RepairStatus } from '../../protocol/cluster-commands.js';
import type { RunPiece } from '../background/background-work.js';
import type { ServerState } from '../server-state.js';
import { ByteRate } from './byte-rate.js';
import { recordReplica, settleReplicas, type Copy } from './replica-changes.js';
import { balanceOf, bytesToMove, seemUneven, watchBalance, type Balance } from './replica-move.js';
import { planReplicas } from './replica-plan.js';
import { MOVE, RepairQueue, SPREAD, TRIM } from './repair-queue.js';
import { RepairScan } from './repair-scan.js';

/** Orders a data node to copy a chunk; resolves when the copy is on stable storage. */
export type OrderCopy = (node: number, order: RequestOf<typeof replicate>) => Promise<void>;

export interface RepairWorkOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: ServerState;
  readonly run: RunPiece;
  readonly orderCopy: OrderCopy;
  /** The most that is copied in a second, so that users keep their speed. */
  readonly bytesPerSecond: number;
}

const ROUND_MS = 500;
/** Copies under way: enough to keep a disk and the network busy. */
const MAX_COPIES = 6;
const NOTED_AT_ONCE = 256;
/** How soon after one scan the next may begin, and after how long it does even if nothing has changed. */
const MIN_SCAN_PAUSE_MS = 500;
const RETRY_MS = 10_000;
/** How old what a person is told may be. */
const FRESH_MS = 1000;
const DAY_MS = 86_400_000;
/** How often rebalancing looks again at how full the nodes are. */
const REBALANCE_SCAN_MS = 10_000;
/** How often it is looked whether nodes have become unequally full by themselves. */
const UNEVEN_SCAN_MS = 3_600_000;
/** What was added up longer ago says nothing of how full the nodes are. */
const OLD_LOADS_MS = 60_000;
/** What moves although nobody asked for it gets this part of the rate. */
const SLOW_FRACTION = 0.1;

export class RepairWork {
  readonly #options: RepairWorkOptions;
  readonly #queue = new RepairQueue();
  readonly #rate: ByteRate;
  /** For moves that nobody asked for. */
  readonly #slowRate: ByteRate;
  /** What the last complete scan saw. */
  #seen: RepairScan | undefined;
  /** Monotonic ms at which it was complete. */
  #seenMs = Number.NEGATIVE_INFINITY;
  #scan: RepairScan | undefined;
  #isScanDue = true;
  #nextScanMs = 0;
  /** Monotonic ms at which to scan again, whatever happens. */
  #scanAgainMs = Number.POSITIVE_INFINITY;
  /** The nodes and their states when they were last looked at. */
  #nodeStates = '';
  /** chunk → what is being done about it */
  readonly #copying = new Map<number, Promise<void>>();
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  #isInRound = false;
  #isClosed = false;

  constructor(options: RepairWorkOptions) {
    this.#options = options;
    this.#rate = new ByteRate(options.clock, options.bytesPerSecond);
    this.#slowRate = new ByteRate(options.clock, options.bytesPerSecond * SLOW_FRACTION);
  }

  start(): void {
    this.#schedule(ROUND_MS);
  }

  /** Ends after what is under way. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#round;
    await Promise.allSettled(this.#copying.values());
  }

  /** What the last complete scan saw; an older one than FRESH_MS is done again, for whoever asks next. */
  status(): RepairStatus {
    const { state, clock } = this.#options;
    // A node may have been lost since the last round: what was seen before that is nothing to rely on.
    this.#watchNodes();
    if (!this.#scan && clock.monotonicMs() - this.#seenMs > FRESH_MS) this.#isScanDue = true;
    const seen = this.#seen ?? this.#scan;
    const totals = seen?.totals() ?? new RepairScan(this.#queue).totals();
    const bytesPerSecond = Math.round(this.#rate.measured());
    const waitingBytes = this.#queue.bytes;
    const movingBytes = bytesToMove(this.#balance(), state.nodes);
    const bytesLeft = waitingBytes + movingBytes;
    const isSettled = !this.#isScanDue && this.#scan === undefined && !state.repair.hasNoted;
    const isComplete = this.#seen !== undefined && isSettled;
    return {
      ...totals,
      isComplete,
      waitingBytes,
      movingBytes,
      bytesPerSecond,
      secondsLeft: bytesLeft === 0 ? 0 : bytesPerSecond === 0 ? -1 : Math.ceil(bytesLeft / bytesPerSecond),
      isRebalancing: state.repair.isRebalancing || state.repair.isUneven,
    };
  }

  #balance(): Balance {
    const { state, clock } = this.#options;
    return balanceOf(state.nodes, state.repair, clock.monotonicMs());
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(
      delayMs,
      () => {
        this.#isInRound = true;
        this.#round = this.#runRound().then(waitMs => {
          this.#isInRound = false;
          this.#schedule(waitMs);
        });
      },
      true,
    );
  }

  /** Never rejects. Resolves with the time until the next round. */
  async #runRound(): Promise<number> {
    try {
      this.#watchNodes();
      await this.#lookAtNoted();
      await this.#continueScan();
      return this.#beginCopies();
    } catch (error) {
      if (!this.#isClosed) {
        this.#options.log.error({ reason: toDfsError(error).message }, 'replicas could not be looked at');
      }
      this.#isScanDue = true;
      return ROUND_MS;
    }
  }

  /** A node that is lost, comes back, or is drained concerns every chunk on it. */
  #watchNodes(): void {
    const { state, clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    const states = state.nodes
      .all()
      .map(node => {
        const isLost = state.nodes.stateOf(node, nowMs) === 'lost';
        return `${node.record.node}${isLost ? ' lost' : ''}${node.record.isDraining ? ' draining' : ''}`;
      })
      .join(', ');
    if (states !== this.#nodeStates) {
      if (this.#nodeStates !== '')
        log.info({ nodes: states }, 'the data nodes have changed; looking at every chunk');
      this.#nodeStates = states;
      this.#isScanDue = true;
    }
    if (state.repair.takeEverything() || nowMs >= this.#scanAgainMs) this.#isScanDue = true;
    if (nowMs - this.#seenMs > UNEVEN_SCAN_MS && seemUneven(state.nodes, nowMs)) this.#isScanDue = true;
  }

  async #lookAtNoted(): Promise<void> {
    const { state, run } = this.#options;
    for (let isMore = true; isMore && !this.#isClosed;) {
      const noted = state.repair.takeChunks(NOTED_AT_ONCE);
      if (noted.length === 0) return;
      isMore = await run(async (tx, { state: { nodes, clock } }) => {
        for (const chunk of noted) {
          const record = await tx.chunks.get(chunk);
          if (!record || record.references === 0) continue;
          const plan = planReplicas(record, nodes, clock.monotonicMs());
          if (plan.missing > 0 && plan.sources.length > 0) this.#queue.add(plan.alive, chunk, record.length);
          else if (plan.surplus.length > 0) this.#queue.add(TRIM, chunk, record.length);
        }
        return noted.length === NOTED_AT_ONCE;
      });
    }
  }

  async #continueScan(): Promise<void> {
    const { clock, run, state, log } = this.#options;
    if (!this.#scan) {
      if (!this.#isScanDue || clock.monotonicMs() < this.#nextScanMs) return;
      this.#isScanDue = false;
      this.#queue.clear();
      if (clock.monotonicMs() - this.#seenMs > OLD_LOADS_MS) state.nodes.loads.forget();
      this.#scan = new RepairScan(this.#queue);
    }
    const scan = this.#scan;
    let isMore = true;
    while (isMore && !this.#isClosed) {
      isMore = await run(async (tx, context) => await scan.piece(tx, context));
      this.#beginCopies();
    }
    if (isMore) return;
    this.#scan = undefined;
    this.#seen = scan;
    this.#seenMs = clock.monotonicMs();
    const nowMs = clock.monotonicMs();
    this.#nextScanMs = nowMs + MIN_SCAN_PAUSE_MS;
    const isUnfinished = this.#queue.size > 0;
    const isBalancing = this.#watchBalance(scan);
    this.#scanAgainMs = nowMs + (isUnfinished ? RETRY_MS : isBalancing ? REBALANCE_SCAN_MS : DAY_MS);
    const { lost } = scan.totals();
    if (lost.chunks > 0)
      log.error({ chunks: lost.chunks }, 'chunks have no replica on any node that is known to live');
  }

  /** Begins and ends the moving of chunks from full nodes to empty ones. Returns whether it is going on. */
  #watchBalance(scan: RepairScan): boolean {
    const { state, log } = this.#options;
    const { isWanted } = this.#balance();
    state.nodes.loads.replace(scan.loads);
    if (isWanted && scan.moves === 0) state.repair.endBalancing();
    else watchBalance(this.#balance(), state.repair);
    const after = this.#balance();
    if (after.isWanted !== isWanted) {
      const percent = Math.round(after.difference * 100);
      log.info(
        { percent },
        after.isWanted ? 'moving chunks to emptier nodes' : 'the nodes are about equally full',
      );
      // The scan that ends here did not look for chunks to move.
      if (after.isWanted) this.#isScanDue = true;
    }
    return after.isWanted;
  }

  /** Begins what may begin now. Returns the time until more may; what ends wakes the next round. */
  #beginCopies(): number {
    while (!this.#isClosed && this.#copying.size < MAX_COPIES && this.#queue.size > 0) {
      const waitMs = this.#rate.waitMs();
      if (waitMs > 0) return Math.min(waitMs, ROUND_MS);
      const slowWaitMs = this.#options.state.repair.isRebalancing ? 0 : this.#slowRate.waitMs();
      const next = this.#queue.take(slowWaitMs > 0 ? SPREAD : MOVE, chunk => !this.#copying.has(chunk));
      if (!next) return Math.min(slowWaitMs || ROUND_MS, ROUND_MS);
      if (next.urgency === MOVE) this.#slowRate.spend(next.bytes);
      const work = this.#settle(next.chunk, next.urgency >= SPREAD).finally(() => {
        this.#copying.delete(next.chunk);
        if (!this.#isInRound) this.#schedule(0);
      });
      this.#copying.set(next.chunk, work);
    }
    return ROUND_MS;
  }

  /** Never rejects. */
  async #settle(chunk: number, mayMove: boolean): Promise<void> {
    const { run, log } = this.#options;
    try {
      let copy: Copy | undefined;
      await run(async (tx, context) => {
        copy = await settleReplicas(tx, chunk, mayMove, context);
        return false;
      });
      if (copy) await this.#copy(copy);
    } catch (error) {
      log.warn(
        { chunk, reason: toDfsError(error).message },
        'a chunk could not be copied; it is tried again',
      );
      this.#scanAgainMs = Math.min(this.#scanAgainMs, this.#options.clock.monotonicMs() + RETRY_MS);
    }
  }

  async #copy(copy: Copy): Promise<void> {
    const { run, orderCopy } = this.#options;
    const from = copy.from.record.node;
    const { node, host, port } = copy.to.record;
    this.#rate.spend(copy.bytes);
    const { loads } = this.#options.state.nodes;
    // At once, so that copies which begin meanwhile know of it.
    loads.add(node, copy.bytes);
    try {
      await orderCopy(from, { grant: copy.grant, to: { node, host, port } });
    } catch (error) {
      loads.add(node, -copy.bytes);
      throw error;
    }
    await run(async (tx, context) => {
      await recordReplica(tx, copy, context);
      return false;
    });
  }
}
