/** Looks at every chunk once, a few in each transaction, and counts the states of replicas. */
import type { ChunkTotals, RepairStatus } from '../../protocol/cluster-commands.js';
import type { OperationContext } from '../operation.js';
import type { ChunkRecord, StoreTransaction } from '../store/store.js';
import { balanceOf, planMove, type Balance } from './replica-move.js';
import { planReplicas } from './replica-plan.js';
import { MOVE, SPREAD, TRIM, type RepairQueue } from './repair-queue.js';

const CHUNKS_AT_ONCE = 512;

type Totals = Omit<
  RepairStatus,
  'isComplete' | 'waitingBytes' | 'movingBytes' | 'bytesPerSecond' | 'secondsLeft' | 'isRebalancing'
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
  /** node → bytes of the replicas on record for it */
  readonly #loads = new Map<number, number>();
  #moves = 0;

  /** @param queue gets what is to be done */
  constructor(queue: RepairQueue) {
    this.#queue = queue;
  }

  /** Looks at some chunks. Returns whether there are more. */
  async piece(tx: StoreTransaction, context: OperationContext): Promise<boolean> {
    const { nodes, repair, clock } = context.state;
    if (this.#after === 0) this.#begin(context);
    const balance = balanceOf(nodes, repair, clock.monotonicMs());
    const chunks = await tx.chunks.after(this.#after, CHUNKS_AT_ONCE);
    for (const record of chunks) this.#look(record, balance, context);
    this.#after = chunks.at(-1)?.chunk ?? this.#after;
    return chunks.length === CHUNKS_AT_ONCE;
  }

  get loads(): ReadonlyMap<number, number> {
    return this.#loads;
  }

  /** Chunks that would better be on emptier nodes. */
  get moves(): number {
    return this.#moves;
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
    for (const { record } of state.nodes.all()) if (record.isDraining) this.#draining.set(record.node, 0);
  }

  #look(record: ChunkRecord, balance: Balance, { state }: OperationContext): void {
    if (record.references === 0) return;
    const { chunk, length } = record;
    const plan = planReplicas(record, state.nodes, state.clock.monotonicMs());
    count(this.#total, length);
    for (const node of record.nodes) {
      this.#loads.set(node, (this.#loads.get(node) ?? 0) + length);
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
    } else {
      const move = planMove(record, plan, balance, state.nodes);
      if (!move) return;
      if (!move.isCrowded) this.#moves += 1;
      this.#queue.add(move.isCrowded ? SPREAD : MOVE, chunk, length);
    }
  }
}

function count(totals: { -readonly [Key in keyof ChunkTotals]: number }, bytes: number): void {
  totals.chunks += 1;
  totals.bytes += bytes;
}
