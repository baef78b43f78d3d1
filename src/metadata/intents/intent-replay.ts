/**
 * Commits what the intents of a log say in the place of a client that is gone, or of a server that lost its power (docs/decisions/51).
 *
 * 1. A client tells its programs that something is on stable storage when two nodes of the log's have the intent there, while its lease
 *    lasts. The replay begins when the session has the file no longer to itself, for certain. So two nodes have every such intent then,
 *    and when all of the log's nodes but one have answered, this server knows each of them.
 * 2. Such intents follow each other without a gap from the last one that is committed, since a client tells of none before the ones
 *    before it. So the client has told no program of an intent behind a gap.
 * 3. What comes to a node later belongs to a log that is over, of which nobody asks.
 * 4. A file whose content was changed by anything else since (`version`) owes nothing: its session changed it, which it does
 *    by another way only when all intents before are on their way to this server, in order.
 */
import { isDoneWithin, sleep, type Clock, type Timer } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { StoredChunk } from '../../protocol/content-commands.js';
import { intents } from '../../protocol/datanode-commands.js';
import { hasCode, toDfsError } from '../../protocol/errors.js';
import {
  IntendedChange,
  MAX_INTENTS_TOLD,
  MIN_INTENT_COPIES,
  type KeptIntent,
} from '../../protocol/intents.js';
import type { Extent } from '../../protocol/types.js';
import { extentChange } from '../../rules/content.js';
import type { RunPiece } from '../background/background-work.js';
import { commitContent, requireOrder, type ContentCommit } from '../content/content-commit.js';
import type { ExclusiveLeases } from '../leases/exclusive-leases.js';
import type { NodeConnection } from '../node-orders.js';
import type { NodeTable } from '../node-table.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, IntentLogRecord, StoreTransaction } from '../store/store.js';
import type { IntentLogs } from './intent-logs.js';
import { endLog } from './open-log.js';

/** A request that reads a file whose log cannot be replayed is refused after so long. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 250;
const CALL_TIMEOUT_MS = 5000;
/** A node that has not answered after this is done without, if that may be. */
const SLOW_NODE_MS = 1000;
/** How often logs are looked for that nobody asks for. */
const SWEEP_MS = 1000;
const SWEPT_AT_ONCE = 16;

export interface IntentReplayOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly logs: IntentLogs;
  readonly exclusive: ExclusiveLeases;
  readonly nodes: Pick<NodeTable, 'get'>;
  /** Undefined when the node has not registered. */
  readonly connectionOf: (node: number) => NodeConnection | undefined;
  readonly run: RunPiece;
}

/** An intent, and the nodes that have it with its chunk. */
interface FoundIntent extends KeptIntent {
  readonly nodes: number[];
}

export class IntentReplay {
  readonly #options: IntentReplayOptions;
  /** inode → its replay that is under way */
  readonly #underWay = new Map<number, Promise<void>>();
  #sweeping: Promise<void> | undefined;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: IntentReplayOptions) {
    this.#options = options;
  }

  /** Replays what nobody asks for: files that nobody reads, or that are gone. */
  start(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.setTimer(
      SWEEP_MS,
      () => {
        this.#sweeping = this.#sweep().finally(() => this.start());
      },
      true,
    );
  }

  /** Ends after the replays under way. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#sweeping;
    await Promise.all(this.#underWay.values());
  }

  isOwed(inode: number): boolean {
    const { logs, exclusive } = this.#options;
    return logs.isOwed(inode, exclusive.holderOf(inode));
  }

  /** Nothing is owed to these inodes when it resolves, or the data nodes do not say what that is. Never rejects. */
  async replay(inodes: readonly number[]): Promise<void> {
    await Promise.all(inodes.filter(inode => this.isOwed(inode)).map(async each => await this.#share(each)));
  }

  async #share(inode: number): Promise<void> {
    let replay = this.#underWay.get(inode);
    if (!replay) {
      replay = this.#replay(inode).finally(() => this.#underWay.delete(inode));
      this.#underWay.set(inode, replay);
    }
    await replay;
  }

  /** Never rejects. */
  async #replay(inode: number): Promise<void> {
    const { clock, log, logs, exclusive } = this.#options;
    const untilMs = clock.monotonicMs() + PATIENCE_MS;
    for (;;) {
      const owed = logs.of(inode);
      if (!owed || !this.isOwed(inode) || this.#isClosed) return;
      // A session of before that has not come back may still answer its programs.
      if (!exclusive.isPresumed(owed.session) && (await this.#tryReplay(owed))) return;
      if (clock.monotonicMs() >= untilMs) {
        log.error(
          { inode, nodes: owed.nodes },
          'what was synced last of a file is on data nodes that do not answer; it is not read until they do',
        );
        return;
      }
      await sleep(clock, RETRY_MS);
    }
  }

  /** Whether it was done. Never rejects. */
  async #tryReplay(owed: IntentLogRecord): Promise<boolean> {
    const { log } = this.#options;
    try {
      const found = await this.#find(owed);
      if (!found) return false;
      await this.#options.run(async (tx, context) => {
        if (context.state.intentLogs.of(owed.inode)?.log === owed.log && this.isOwed(owed.inode))
          await carryOut(tx, owed.inode, found, context, log);
        return false;
      });
      return true;
    } catch (error) {
      log.error({ inode: owed.inode, reason: toDfsError(error).message }, 'intents could not be committed');
      return false;
    }
  }

  /** sequence → intent; undefined while too few nodes say what they have. */
  async #find({ log, done, nodes }: IntentLogRecord): Promise<Map<number, FoundIntent> | undefined> {
    const { clock } = this.#options;
    const found = new Map<number, FoundIntent>();
    const silent = new Set(nodes.filter(node => this.#options.nodes.get(node) !== undefined));
    const asked = [...silent].map(async node => {
      const told = await this.#ask(node, log, done);
      if (!told) return;
      for (const intent of told) {
        const before = found.get(intent.sequence);
        if (before?.chunk === intent.chunk) before.nodes.push(node);
        else if (!before) found.set(intent.sequence, { ...intent, nodes: [node] });
      }
      silent.delete(node);
    });
    const all = Promise.all(asked);
    const isAll = await isDoneWithin(clock, SLOW_NODE_MS, all);
    if (!isAll && silent.size >= MIN_INTENT_COPIES) await all;
    return silent.size < MIN_INTENT_COPIES ? new Map(found) : undefined;
  }

  /** What a node has; undefined when it does not answer. Never rejects. */
  async #ask(node: number, log: number, done: number): Promise<KeptIntent[] | undefined> {
    const connection = this.#options.connectionOf(node);
    if (connection?.isClosed !== false) return undefined;
    const told: KeptIntent[] = [];
    try {
      for (let after = done; ;) {
        const { reply } = await connection.call(intents, { log, after }, { timeoutMs: CALL_TIMEOUT_MS });
        told.push(...reply.intents);
        const last = reply.intents.at(-1);
        if (!last || reply.intents.length < MAX_INTENTS_TOLD || last.sequence <= after) return told;
        after = last.sequence;
      }
    } catch (error) {
      this.#options.log.warn({ node, reason: toDfsError(error).message }, 'a data node told no intents');
      return undefined;
    }
  }

  /** Never rejects. */
  async #sweep(): Promise<void> {
    const { logs, exclusive } = this.#options;
    const owed: number[] = [];
    for (const { inode, session } of logs.all()) {
      if (owed.length === SWEPT_AT_ONCE) break;
      if (this.isOwed(inode) && !exclusive.isPresumed(session)) owed.push(inode);
    }
    await this.replay(owed);
  }
}

/** Commits the intents that follow the last committed one, and ends the log. */
async function carryOut(
  tx: StoreTransaction,
  number: number,
  found: ReadonlyMap<number, FoundIntent>,
  context: OperationContext,
  logger: Logger,
): Promise<void> {
  const log = context.state.intentLogs.of(number);
  if (!log) return;
  let inode = await tx.inodes.get(number);
  let done = log.done;
  if (inode && inode.version === log.version) {
    for (let next = found.get(done + 1); next; next = found.get(done + 1)) {
      const after = await commitIntent(tx, inode, next, context);
      if (!after) break;
      inode = after;
      done += 1;
    }
  }
  await endLog(tx, log, context);
  context.control.requireDurable();
  if (done > log.done)
    logger.warn(
      { inode: number, intents: done - log.done },
      'committed what a client had synced, and is gone',
    );
}

/** The file with the intent carried out; undefined for one that cannot be a client's. */
async function commitIntent(
  tx: StoreTransaction,
  inode: InodeRecord,
  { chunk, length, checksum, nodes, change }: FoundIntent,
  context: OperationContext,
): Promise<InodeRecord | undefined> {
  const intended = intendedChange(inode.inode, change, { chunk, length });
  if (!intended) return undefined;
  // The commit was here before the log was asked for.
  if (await tx.chunks.get(chunk)) return inode;
  const granted = (await tx.grants.get(chunk))?.nodes ?? nodes;
  const grant = { chunk, nodes: [...granted], maxBytes: length, expiresMs: 0, signature: new Uint8Array() };
  const stored: StoredChunk = { chunk, length, checksum, nodes, grant, synced: true };
  const chunks = { lengths: new Map([[chunk, length]]), fresh: new Map([[chunk, stored]]) };
  return await commitContent(tx, inode, intended, chunks, context);
}

/** The change with the extents that it makes; undefined for one that cannot be a client's. */
function intendedChange(
  inode: number,
  change: Uint8Array,
  { chunk, length: chunkLength }: Pick<FoundIntent, 'chunk' | 'length'>,
): ContentCommit | undefined {
  try {
    const intended = IntendedChange.decode(Buffer.from(change));
    const extents: Extent[] = [];
    let chunkOffset = 0;
    for (const { offset, length } of intended.extents) {
      extents.push({ offset, length, chunk, chunkOffset });
      chunkOffset += length;
    }
    requireOrder(extents);
    if (intended.inode !== inode || chunkOffset !== chunkLength) return undefined;
    const { mtime, ctime } = intended;
    return { extents, size: extentChange(extents).end, mtime, ctime };
  } catch (error) {
    if (!hasCode(error, 'EPROTO', 'EINVAL', 'EFBIG')) throw error;
    return undefined;
  }
}
