/**
 * Rewrites the pieces of a file, which random writes have left, into whole chunks (docs/decisions/01).
 *
 *     noted by `blocks` ──quiet for a while──► a window of small extents ──► a data node assembles a new chunk
 *           ▲                                                                      │
 *           └── the file was written meanwhile: nothing is changed ◄── committed if the file is as it was
 *
 * Until the commit the file has its old extents, after it the new one, and both say the same bytes; so this may be
 * killed at any moment. A chunk that was assembled in vain goes when its grant expires.
 */
import type { Clock, Timer, Timespec } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { toDfsError } from '../../protocol/errors.js';
import type { ReplyOf, RequestOf } from '../../protocol/command.js';
import type { assemble } from '../../protocol/datanode-commands.js';
import { isRegularFile } from '../../protocol/file-mode.js';
import { DEFAULT_CHUNK_BYTES, MAX_PIECES } from '../../protocol/limits.js';
import { readGrantAt } from '../../protocol/read-grants.js';
import type { Extent, Grant, NodeAddress } from '../../protocol/types.js';
import { isConnectionError } from '../../rpc/client.js';
import { recordNewChunks } from '../content/chunk-commit.js';
import { ChunkReferences } from '../content/chunk-references.js';
import { extentsFrom, punch } from '../content/extent-map.js';
import { issueGrants, issueReadGrants } from '../content/grants.js';
import { toMs, type OperationContext } from '../operation.js';
import { ByteRate } from '../repair/byte-rate.js';
import type { ServerState } from '../server-state.js';
import type { StoreTransaction } from '../store/store.js';
import type { RunPiece } from './background-work.js';

/** Has a data node put a chunk together and store it. */
export type OrderAssembly = (
  node: number,
  order: RequestOf<typeof assemble>,
) => Promise<ReplyOf<typeof assemble>>;

export interface DefragmenterOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: ServerState;
  /** Runs a piece of the work, for which what clients have to themselves is recalled. */
  readonly run: RunPiece;
  /** Runs one that takes nothing from anybody, and so reads what may be some milliseconds old. */
  readonly look: RunPiece;
  readonly orderAssembly: OrderAssembly;
  /** A file that was changed more lately than this probably will be again. */
  readonly quietMs: number;
}

/** A window is worth it with so many pieces, of so few bytes each. */
const MIN_PIECES = 8;
const SMALL_PIECE_BYTES = 256 << 10;
/** How often it is looked whether there is something to do, and not more often than. */
const ROUND_MS = 5000;
const MIN_ROUND_MS = 100;
const BYTES_PER_SECOND = 20_000_000;
const FILES_AT_ONCE = 32;
const EXTENTS_AT_ONCE = 1024;

/** Extents that follow each other without a gap, and what the file was when they were read. */
interface Window {
  readonly inode: number;
  readonly version: number;
  readonly goal: number;
  readonly offset: number;
  readonly length: number;
  readonly order: RequestOf<typeof assemble>;
}

export class Defragmenter {
  readonly #options: DefragmenterOptions;
  readonly #rate: ByteRate;
  /** The file last looked at, and where in it the next look begins. */
  #inode = 0;
  #offset = 0;
  /** Windows of that file that were begun and not done: another look at it is needed. */
  #left = 0;
  readonly #roundMs: number;
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: DefragmenterOptions) {
    this.#options = options;
    this.#rate = new ByteRate(options.clock, BYTES_PER_SECOND);
    this.#roundMs = Math.max(MIN_ROUND_MS, Math.min(ROUND_MS, options.quietMs));
  }

  start(): void {
    this.#schedule(this.#roundMs);
  }

  /** Ends after the window under way. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#round;
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.setTimer(
      delayMs,
      () => {
        this.#round = this.#runRound().then(waitMs => this.#schedule(waitMs));
      },
      true,
    );
  }

  /** One window. Never rejects. Resolves with the time until the next. */
  async #runRound(): Promise<number> {
    const { run, look, log } = this.#options;
    try {
      let quiet: readonly number[] = [];
      await look(async (tx, context) => {
        quiet = await this.#quietFiles(tx, context);
        return false;
      });
      if (quiet.length === 0) return this.#roundMs;
      let window: Window | undefined;
      await run(async (tx, context) => {
        window = await this.#nextWindow(tx, quiet, context);
        return false;
      });
      if (!window) return this.#roundMs;
      if (await this.#rewrite(window)) this.#left -= 1;
      return this.#rate.waitMs();
    } catch (error) {
      // Its pieces stay readable as they are; the next look at the file begins anew.
      const { message } = toDfsError(error);
      if (!this.#isClosed)
        log.info({ inode: this.#inode, reason: message }, 'a fragmented file was left as it is');
      return this.#roundMs;
    }
  }

  /** The next files that nobody has changed for a while. Those that somebody works on are not even asked for. */
  async #quietFiles(tx: StoreTransaction, context: OperationContext): Promise<number[]> {
    const before = Math.max(0, this.#inode - (this.#offset > 0 ? 1 : 0));
    const files = await tx.fragmented.after(before, FILES_AT_ONCE);
    const quiet: number[] = [];
    for (const inode of files) {
      const record = await tx.inodes.get(inode);
      if (!record || !isRegularFile(record.mode)) await tx.fragmented.delete(inode);
      else if (this.#isQuiet(record.ctime, context)) quiet.push(inode);
    }
    if (quiet.length === 0) {
      this.#inode = files.at(-1) ?? 0;
      this.#offset = 0;
    }
    return quiet;
  }

  #isQuiet(ctime: Timespec, context: OperationContext): boolean {
    return toMs(context.now) - ctime.sec * 1000 >= this.#options.quietMs;
  }

  /** The next window worth rewriting in these files; undefined when there is none at the moment. */
  async #nextWindow(
    tx: StoreTransaction,
    files: readonly number[],
    context: OperationContext,
  ): Promise<Window | undefined> {
    for (const inode of files) {
      if (inode !== this.#inode) this.#offset = 0;
      if (this.#offset === 0) this.#left = 0;
      this.#inode = inode;
      const window = await this.#windowIn(tx, inode, context);
      if (window) return window;
      this.#offset = 0;
    }
    return undefined;
  }

  async #windowIn(
    tx: StoreTransaction,
    number: number,
    context: OperationContext,
  ): Promise<Window | undefined> {
    const inode = await tx.inodes.get(number);
    if (!inode || !this.#isQuiet(inode.ctime, context)) return undefined;
    for (;;) {
      const extents = await extentsFrom(tx, number, this.#offset, EXTENTS_AT_ONCE);
      const pieces = firstWindow(extents);
      if (pieces) {
        const [first] = pieces;
        const last = pieces.at(-1);
        if (!first || !last) return undefined;
        this.#offset = last.offset + last.length;
        this.#left += 1;
        return await this.#prepare(tx, { ...inode, inode: number }, pieces, context);
      }
      const last = extents.at(-1);
      if (!last || extents.length < EXTENTS_AT_ONCE) {
        if (this.#left === 0) await tx.fragmented.delete(number);
        return undefined;
      }
      this.#offset = last.offset + last.length;
    }
  }

  async #prepare(
    tx: StoreTransaction,
    { inode, version, goal }: { readonly inode: number; readonly version: number; readonly goal: number },
    pieces: readonly Extent[],
    context: OperationContext,
  ): Promise<Window | undefined> {
    const { nodes } = context.state;
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const granted = await issueGrants(tx, { count: 1, goal, maxBytes: length, exclude: [] }, context);
    const [grant] = granted.grants;
    if (!grant) return undefined;
    const sources: RequestOf<typeof assemble>['pieces'] = [];
    const readGrants = issueReadGrants(
      pieces.map(({ chunk }) => chunk),
      context,
    );
    for (const [index, piece] of pieces.entries()) {
      const record = await tx.chunks.get(piece.chunk);
      if (!record) return undefined;
      const addresses = nodes.addresses(record.nodes);
      sources.push({
        chunk: piece.chunk,
        offset: piece.chunkOffset,
        length: piece.length,
        grant: readGrantAt(readGrants, index),
        nodes: addresses,
      });
    }
    const offset = pieces[0]?.offset ?? 0;
    const order = {
      grant,
      inode,
      fileOffset: offset,
      pieces: sources,
      forward: forwardOf(grant, granted.nodes),
    };
    return { inode, version, goal, offset, length, order };
  }

  /** Returns whether the new chunk took the pieces' place. */
  async #rewrite(window: Window): Promise<boolean> {
    const { run, orderAssembly, log } = this.#options;
    const { grant, pieces } = window.order;
    const [first] = grant.nodes;
    if (first === undefined) return false;
    this.#rate.spend(window.length);
    const stored = await orderAssembly(first, window.order).catch((error: unknown) => {
      // A node that went away meanwhile; another grant will name another one.
      if (isConnectionError(error)) return undefined;
      throw error;
    });
    if (!stored) return false;
    let isDone = false;
    await run(async (tx, context) => {
      isDone = await commit(tx, window, stored, context);
      return false;
    });
    log.debug({ inode: window.inode, pieces: pieces.length, isDone }, 'pieces of a file were put together');
    return isDone;
  }
}

/** The nodes behind the first one. */
function forwardOf(grant: Grant, addresses: readonly NodeAddress[]): NodeAddress[] {
  return grant.nodes.slice(1).flatMap(node => addresses.find(address => address.node === node) ?? []);
}

/** The first run of small extents that follow each other, of at most a chunk together. */
function firstWindow(extents: readonly Extent[]): readonly Extent[] | undefined {
  for (let start = 0; start < extents.length; start += 1) {
    const pieces: Extent[] = [];
    let bytes = 0;
    for (let at = start; at < extents.length && pieces.length < MAX_PIECES; at += 1) {
      const extent = extents[at];
      const before = pieces.at(-1);
      if (!extent || extent.length > SMALL_PIECE_BYTES || bytes + extent.length > DEFAULT_CHUNK_BYTES) break;
      if (before && before.offset + before.length !== extent.offset) break;
      pieces.push(extent);
      bytes += extent.length;
    }
    if (pieces.length >= MIN_PIECES) return pieces;
    start += Math.max(0, pieces.length - 1);
  }
  return undefined;
}

/** Returns whether the new chunk took the pieces' place: not if the file was changed meanwhile. */
async function commit(
  tx: StoreTransaction,
  { inode: number, version, goal, offset, length, order }: Window,
  stored: ReplyOf<typeof assemble>,
  context: OperationContext,
): Promise<boolean> {
  const inode = await tx.inodes.get(number);
  if (!inode || inode.version !== version || stored.stored.length === 0) return false;
  const { chunk } = order.grant;
  const references = new ChunkReferences();
  const freed = await punch(tx, number, offset, offset + length, references);
  const extent = { offset, length, chunk, chunkOffset: 0 };
  await tx.extents.insert(number, extent);
  const { checksum, stored: nodes } = stored;
  const fresh = new Map([[chunk, { chunk, length, checksum, nodes, grant: order.grant, synced: true }]]);
  const file = { inode: number, goal };
  await recordNewChunks(tx, { lengths: new Map([[chunk, length]]), fresh }, [extent], file, context);
  await references.apply(tx, context.nowMs + context.state.graceMs);
  // Another version, though the content is the same: who knows the old extents asks for the new ones.
  await tx.inodes.update({ ...inode, allocated: inode.allocated - freed + length, version: version + 1 });
  return true;
}
