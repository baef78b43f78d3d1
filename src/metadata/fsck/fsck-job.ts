/**
 * One check of everything, while users work: first the metadata's own invariants, as they are at one moment; then every
 * chunk's replicas, by the nodes' lists, or (deep) by reading every byte.
 */
import { sleep, type Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import type { ReplyOf, RequestOf } from '../../protocol/command.js';
import type { verify } from '../../protocol/datanode-commands.js';
import type { FsckStatus } from '../../protocol/cluster-commands.js';
import { MAX_FINDINGS_PAGE } from '../../protocol/limits.js';
import type { RunPiece } from '../background/background-work.js';
import { planReplicas } from '../repair/replica-plan.js';
import type { DataNode } from '../node-table.js';
import type { ServerState } from '../server-state.js';
import type { StoreCheck } from '../store/store.js';
import type { Finding } from './finding.js';
import { repairFinding } from './fsck-repair.js';

export interface FsckJobOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: ServerState;
  readonly run: RunPiece;
  readonly check: StoreCheck;
  /** Has a data node look at what it holds; asked again until it is done. */
  readonly orderVerify: (node: number, order: RequestOf<typeof verify>) => Promise<ReplyOf<typeof verify>>;
  readonly isDeep: boolean;
  readonly isRepairing: boolean;
}

const CHUNKS_AT_ONCE = 512;
/** Findings about replicas that are named; beyond that they are only counted. */
const MAX_REPLICA_FINDINGS = 10_000;
const REPAIRS_AT_ONCE = 64;
const LOOK_MS = 500;
/** How long after the nodes have reported the last finding of theirs may be on its way. */
const SETTLE_MS = 2500;
/** How long a node that is silent is waited for. */
const SILENCE_MS = 5000;

interface Told extends Finding {
  readonly isRepaired: boolean;
}

export class FsckJob {
  readonly #options: FsckJobOptions;
  readonly #findings: Told[] = [];
  #count = 0;
  #stage = 'checking the metadata';
  #doneBytes = 0;
  #totalBytes = 0;
  #failure: DfsError | undefined;
  #isRunning = true;
  #isStopped = false;

  constructor(options: FsckJobOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Never rejects: what went wrong is in the status. */
  async execute(): Promise<void> {
    const { check, log } = this.#options;
    try {
      await this.#checkMetadata();
      const isReadable = this.#findings.every(({ kind }) => kind !== 'database');
      if (isReadable) await this.#checkReplicas();
      this.#stage = 'done';
    } catch (error) {
      this.#failure = toDfsError(error);
      log.error({ reason: this.#failure.message }, 'the check of the file system failed');
    } finally {
      this.#isRunning = false;
      await check.close();
    }
  }

  /** Ends at the next occasion. */
  stop(): void {
    this.#isStopped = true;
  }

  /** How far it is, and findings from number `from` on. Throws what the check failed of. */
  status(from: number): FsckStatus {
    if (this.#failure) throw this.#failure;
    const page = this.#findings.slice(from, from + MAX_FINDINGS_PAGE);
    return {
      isRunning: this.#isRunning,
      stage: this.#stage,
      doneBytes: this.#doneBytes,
      totalBytes: this.#totalBytes,
      count: this.#count,
      named: this.#findings.length,
      findings: page.map(({ kind, path, what, isRepaired }) => ({
        kind,
        path: Buffer.from(path, 'latin1'),
        what,
        isRepaired,
      })),
    };
  }

  async #checkMetadata(): Promise<void> {
    const { check, isRepairing } = this.#options;
    const { findings, count } = await check.findings();
    this.#count += count;
    if (isRepairing) this.#stage = 'repairing the metadata';
    for (let at = 0; at < findings.length; at += REPAIRS_AT_ONCE) {
      const some = findings.slice(at, at + REPAIRS_AT_ONCE);
      const repaired = isRepairing ? await this.#repair(some) : some.map(() => false);
      for (const [index, finding] of some.entries()) {
        this.#findings.push({ ...finding, isRepaired: repaired[index] ?? false });
      }
    }
  }

  async #repair(findings: readonly Finding[]): Promise<boolean[]> {
    this.#throwIfStopped();
    const repaired: boolean[] = [];
    await this.#options.run(async (tx, context) => {
      repaired.length = 0;
      for (const finding of findings) repaired.push(await repairFinding(tx, finding, context));
      return false;
    });
    return repaired;
  }

  async #checkReplicas(): Promise<void> {
    const { state, clock, isDeep, check } = this.#options;
    this.#stage = isDeep ? 'reading every replica' : 'asking the data nodes what they hold';
    const damagedBefore = state.damage.count;
    const done = new Map<number, number>();
    const totals = new Map<number, number>();
    const asked = state.nodes.all().map(async ({ record }) => {
      const node = await this.#untilSettled(record.node);
      if (!node) return;
      const nowMs = clock.monotonicMs();
      // By its own connection, whether or not others reach it.
      if (state.nodes.isHeard(node, nowMs)) await this.#verifyNode(record.node, done, totals);
      // What a lost node held stands among the chunks that lack replicas.
      else if (state.nodes.stateOf(node, nowMs) === 'suspect')
        this.#noteUnchecked(record.node, 'it is silent');
    });
    await Promise.all(asked);
    // The last heartbeat that tells of damage.
    await sleep(clock, SETTLE_MS);
    this.#stage = 'looking at every chunk';
    const wrong = await this.#wrongChunks();
    for (const { chunk, node, isLast } of state.damage.since(damagedBefore)) {
      const what = `is damaged on node ${node}${isLast ? ', and there is no other replica' : '; it was put aside there'}`;
      wrong.push({ kind: 'damaged', chunk, what, path: '', isMended: !isLast });
    }
    const paths = await check.pathsOf(wrong.map(({ chunk }) => chunk));
    for (const { chunk, kind, what, isMended } of wrong) {
      const names = paths.get(chunk) ?? [`(chunk ${chunk})`];
      for (const path of names)
        this.#findings.push({ kind, path, what: `chunk ${chunk} ${what}`, isRepaired: isMended });
    }
  }

  async #verifyNode(node: number, done: Map<number, number>, totals: Map<number, number>): Promise<void> {
    const { clock, orderVerify, isDeep } = this.#options;
    let order = { start: true, deep: isDeep };
    for (;;) {
      this.#throwIfStopped();
      const reply = await orderVerify(node, order).catch((error: unknown) => toDfsError(error));
      if (reply instanceof DfsError) {
        this.#noteUnchecked(node, reply.message);
        return;
      }
      done.set(node, reply.doneBytes);
      totals.set(node, reply.totalBytes);
      this.#doneBytes = sum(done);
      this.#totalBytes = sum(totals);
      if (!reply.isRunning) return;
      order = { start: false, deep: isDeep };
      await sleep(clock, LOOK_MS);
    }
  }

  /** A busy node may be silent for a moment. Returns how it is then; undefined when it was forgotten meanwhile. */
  async #untilSettled(number: number): Promise<DataNode | undefined> {
    const { state, clock } = this.#options;
    const untilMs = clock.monotonicMs() + SILENCE_MS;
    for (;;) {
      const nowMs = clock.monotonicMs();
      const node = state.nodes.get(number);
      if (!node || nowMs >= untilMs || state.nodes.isHeard(node, nowMs)) return node;
      if (state.nodes.stateOf(node, nowMs) === 'lost' || this.#isStopped) return node;
      await sleep(clock, LOOK_MS);
    }
  }

  /** The check goes on without the node: it may have died just now. */
  #noteUnchecked(node: number, reason: string): void {
    this.#count += 1;
    const what = `could not be checked: ${reason}; check again when 'dfs nodes' shows it live or lost`;
    this.#findings.push({ kind: 'unchecked', path: `(data node ${node})`, what, isRepaired: false });
  }

  /** Chunks with too few replicas. The repair of replicas sees to them, whether or not this check repairs. */
  async #wrongChunks(): Promise<(Finding & { readonly chunk: number; readonly isMended: boolean })[]> {
    const { state, clock, run } = this.#options;
    const wrong: (Finding & { readonly chunk: number; readonly isMended: boolean })[] = [];
    let after = 0;
    const isMore = async (): Promise<boolean> =>
      await run(async tx => {
        const chunks = await tx.chunks.after(after, CHUNKS_AT_ONCE);
        for (const record of chunks) {
          if (record.references === 0) continue;
          const { alive, missing, isShort } = planReplicas(record, state.nodes, clock.monotonicMs());
          if (alive > 0 && missing === 0 && !isShort) continue;
          this.#count += 1;
          if (wrong.length >= MAX_REPLICA_FINDINGS) continue;
          const kind = alive === 0 ? 'lost' : 'endangered';
          const where = record.nodes.length > 0 ? ` (recorded on node ${record.nodes.join(', ')})` : '';
          const what =
            alive === 0
              ? `has no replica on any node that is there${where}`
              : `has ${alive} of ${record.goal} replicas${isShort && missing === 0 ? ', for want of nodes' : ''}`;
          wrong.push({ kind, path: '', what, chunk: record.chunk, isMended: false });
        }
        after = chunks.at(-1)?.chunk ?? after;
        return chunks.length === CHUNKS_AT_ONCE;
      });
    while (await isMore()) this.#throwIfStopped();
    return wrong;
  }

  #throwIfStopped(): void {
    if (this.#isStopped) throw new DfsError('EINTR', 'the metadata server is being shut down');
  }
}

function sum(values: ReadonlyMap<number, number>): number {
  return [...values.values()].reduce((total, value) => total + value, 0);
}
