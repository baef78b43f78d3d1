/** Looks at every chunk once, a few in each transaction, and adds up how the replicas are. */
import type { ChunkTotals, RepairStatus } from '../../protocol/metadata-commands.js';
import type { OperationContext } from '../operation.js';
import type { ChunkRecord, StoreTransaction } from '../store/store.js';
import { fillOf, planReplicas } from './replica-plan.js';
import { MOVE, TRIM, type RepairQueue } from './repair-queue.js';

const CHUNKS_AT_ONCE = 512;
/** Between how full two nodes must differ before chunks move by themselves, and until when they then do. */
const IMBALANCE_BEGIN = 0.1;
const IMBALANCE_END = 0.02;

type Totals = Omit<
  RepairStatus,
  'isComplete' | 'waitingBytes' | 'bytesPerSecond' | 'secondsLeft' | 'isRebalancing'
>;

export class RepairScan {
  readonly #queue: RepairQueue;
  #after = 0;
  readonly #total = { chunks: 0, bytes: 0 };
  readonly #lost = { chunks: 0, bytes: 0 };
  readonly #short = { chunks: 0, bytes: 0 };
  readonly #surplus = { chunks: 0, bytes: 0 };
  /** Replicas left, less one → chunks */
  readonly #endangered: { chunks: number; bytes: number }[] = [];
  /** draining node → chunks on it */
  readonly #draining = new Map<number, number>();
  /** Fuller than this gives chunks away. */
  #giveAbove = Number.POSITIVE_INFINITY;

  /** @param queue gets what is to be done */
  constructor(queue: RepairQueue) {
    this.#queue = queue;
  }

  /** Looks at some chunks. Returns whether there are more. */
  async piece(tx: StoreTransaction, context: OperationContext): Promise<boolean> {
    if (this.#after === 0) this.#begin(context);
    const chunks = await tx.chunks.after(this.#after, CHUNKS_AT_ONCE);
    for (const record of chunks) this.#look(record, context);
    this.#after = chunks.at(-1)?.chunk ?? this.#after;
    return chunks.length === CHUNKS_AT_ONCE;
  }

  /** What was seen so far. */
  totals(): Totals {
    return {
      total: { ...this.#total },
      lost: { ...this.#lost },
      endangered: Array.from(this.#endangered, each => ({ chunks: each.chunks, bytes: each.bytes })),
      short: { ...this.#short },
      surplus: { ...this.#surplus },
      draining: [...this.#draining].map(([node, chunks]) => ({ node, chunks })),
    };
  }

  #begin({ state }: OperationContext): void {
    const monotonicMs = state.clock.monotonicMs();
    for (const { record } of state.nodes.all()) if (record.isDraining) this.#draining.set(record.node, 0);
    const fills = state.nodes.takers(monotonicMs).map(fillOf);
    if (fills.length === 0) return;
    const difference = Math.max(...fills) - Math.min(...fills);
    if (difference < IMBALANCE_END) state.repair.isRebalancing = false;
    if (!state.repair.isRebalancing && difference < IMBALANCE_BEGIN) return;
    this.#giveAbove = fills.reduce((sum, fill) => sum + fill, 0) / fills.length + IMBALANCE_END / 2;
  }

  #look(record: ChunkRecord, { state }: OperationContext): void {
    if (record.references === 0) return;
    const { chunk, length } = record;
    const plan = planReplicas(record, state.nodes, state.clock.monotonicMs());
    count(this.#total, length);
    for (const node of record.nodes) {
      const left = this.#draining.get(node);
      if (left !== undefined) this.#draining.set(node, left + 1);
    }
    if (plan.alive === 0) count(this.#lost, length);
    else if (plan.isShort) count(this.#short, length);
    if (plan.missing > 0 && plan.alive > 0) {
      for (let left = this.#endangered.length; left < plan.alive; left += 1) {
        this.#endangered.push({ chunks: 0, bytes: 0 });
      }
      const endangered = this.#endangered[plan.alive - 1];
      if (endangered) count(endangered, length);
      if (plan.sources.length > 0) this.#queue.add(plan.alive, chunk, length);
    } else if (plan.surplus.length > 0) {
      count(this.#surplus, length);
      this.#queue.add(TRIM, chunk, length);
    } else if (plan.sources.some(node => fillOf(node) > this.#giveAbove)) {
      this.#queue.add(MOVE, chunk, length);
    }
  }
}

function count(totals: { -readonly [Key in keyof ChunkTotals]: number }, bytes: number): void {
  totals.chunks += 1;
  totals.bytes += bytes;
}
