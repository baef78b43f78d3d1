/**
 * Brings a restored backup up to date with the chunks on the data nodes. Chunk ids grow with time, so of two chunks
 * for the same bytes of a file the one with the higher id is the newer.
 */
import type { Timespec } from '../../platform/clock.js';
import { isDirectory, isRegularFile, ROOT_INODE, S_IFDIR, S_IFREG } from '../../protocol/file-mode.js';
import { DEFAULT_GOAL, GOAL_OF_CREATOR, MAX_FILE_BYTES, SCATTERED_OFFSET } from '../../protocol/limits.js';
import { ChunkReferences, DEFAULT_GRACE_MS } from '../content/chunk-references.js';
import { extentsFrom, punch } from '../content/extent-map.js';
import { toMs } from '../operation.js';
import type { SqliteTransaction } from '../store/sqlite/sqlite-store.js';
import type { InodeRecord } from '../store/store.js';
import type { FoundChunk, FoundChunks } from './found-chunks.js';

const CHUNKS_AT_ONCE = 1000;
const LOST_AND_FOUND = 'lost+found';

/** What became of the chunks that are newer than the backup. */
export interface Salvaged {
  /** Put into files that the backup knows. */
  readonly placed: { chunks: number; bytes: number; files: number };
  /** Put into files under /lost+found. */
  readonly lostAndFound: { chunks: number; bytes: number; files: number };
  /** Not used, since newer ones stand where they would. */
  readonly covered: { chunks: number; bytes: number };
}

interface SalvageOptions {
  readonly tx: SqliteTransaction;
  readonly found: FoundChunks;
  readonly now: Timespec;
  /** Inode numbers from here on were never given to anybody. */
  readonly firstInode: number;
}

export class Salvage {
  readonly #options: SalvageOptions;
  readonly #result: Salvaged = {
    placed: { chunks: 0, bytes: 0, files: 0 },
    lostAndFound: { chunks: 0, bytes: 0, files: 0 },
    covered: { chunks: 0, bytes: 0 },
  };
  #nextInode: number;
  /** The file that gets what of its inode cannot be placed: inode of the hint → file under /lost+found. */
  #stray: { readonly hint: number; readonly inode: number } | undefined;
  #lastPlaced = 0;

  constructor(options: SalvageOptions) {
    this.#options = options;
    this.#nextInode = options.firstInode;
  }

  /** Inode numbers from here on are still free. */
  get nextInode(): number {
    return this.#nextInode;
  }

  /** Finds a place for every chunk that the backup does not know. Commits by itself, some at a time. */
  async run(): Promise<Salvaged> {
    const { tx, found } = this.#options;
    let last: Pick<FoundChunk, 'inode' | 'chunk'> = { inode: -1, chunk: 0 };
    for (;;) {
      const chunks = found.after(last.inode, last.chunk, CHUNKS_AT_ONCE);
      const end = chunks.at(-1);
      if (!end) return this.#result;
      tx.begin();
      for (const chunk of chunks) await this.#settle(chunk);
      tx.commit();
      last = end;
    }
  }

  async #settle(chunk: FoundChunk): Promise<void> {
    const { tx } = this.#options;
    const isScattered =
      chunk.fileOffset >= SCATTERED_OFFSET || chunk.fileOffset + chunk.length > MAX_FILE_BYTES;
    const owner = isScattered ? undefined : tx.inodes.get(chunk.inode);
    if (owner && isRegularFile(owner.mode)) {
      if (await this.#place(owner, chunk, chunk.fileOffset)) {
        this.#result.placed.chunks += 1;
        this.#result.placed.bytes += chunk.length;
        if (this.#lastPlaced !== chunk.inode) this.#result.placed.files += 1;
        this.#lastPlaced = chunk.inode;
      }
      return;
    }
    const inode = isScattered
      ? this.#newFile(`inode-${chunk.inode}.chunk-${chunk.chunk}`)
      : this.#strayOf(chunk.inode);
    const record = tx.inodes.get(inode);
    if (!record || !(await this.#place(record, chunk, isScattered ? 0 : chunk.fileOffset))) return;
    this.#result.lostAndFound.chunks += 1;
    this.#result.lostAndFound.bytes += chunk.length;
  }

  /** Puts a chunk wherever nothing newer stands; false when that is nowhere. */
  async #place(inode: InodeRecord, found: FoundChunk, offset: number): Promise<boolean> {
    const { tx, now, found: all } = this.#options;
    const { chunk, length, checksum } = found;
    const ranges = await this.#olderRanges(inode.inode, offset, offset + length, chunk);
    if (ranges.length === 0) {
      this.#result.covered.chunks += 1;
      this.#result.covered.bytes += length;
      return false;
    }
    const goal = Math.max(1, inode.goal);
    tx.chunks.insert({ chunk, length, checksum, references: 0, goal, nodes: all.holdersOf(chunk) });
    tx.grants.delete(chunk);
    const references = new ChunkReferences();
    let { allocated } = inode;
    for (const { start, end } of ranges) {
      allocated -= await punch(tx, inode.inode, start, end, references);
      tx.extents.insert(inode.inode, {
        offset: start,
        length: end - start,
        chunk,
        chunkOffset: start - offset,
      });
      references.add(chunk);
      allocated += end - start;
    }
    await references.apply(tx, toMs(now) + DEFAULT_GRACE_MS);
    const size = Math.max(inode.size, offset + length);
    tx.inodes.update({ ...inode, size, allocated, mtime: now, ctime: now, version: inode.version + 1 });
    return true;
  }

  /** The parts of [start, end) that no chunk newer than `chunk` covers. */
  async #olderRanges(
    inode: number,
    start: number,
    end: number,
    chunk: number,
  ): Promise<{ readonly start: number; readonly end: number }[]> {
    const ranges: { start: number; end: number }[] = [];
    let at = start;
    for (let from = start; from < end;) {
      const extents = await extentsFrom(this.#options.tx, inode, from, CHUNKS_AT_ONCE);
      for (const extent of extents) {
        from = extent.offset + extent.length;
        if (extent.offset >= end || extent.chunk < chunk) continue;
        if (extent.offset > at) ranges.push({ start: at, end: extent.offset });
        at = Math.max(at, from);
      }
      if (extents.length < CHUNKS_AT_ONCE) break;
    }
    if (at < end) ranges.push({ start: at, end });
    return ranges;
  }

  #strayOf(hint: number): number {
    if (this.#stray?.hint !== hint) this.#stray = { hint, inode: this.#newFile(`inode-${hint}`) };
    return this.#stray.inode;
  }

  /** A file of this name under /lost+found, or of one like it. */
  #newFile(name: string): number {
    const { tx } = this.#options;
    const parent = this.#lostAndFound();
    const inode = this.#insert(parent, freeName(tx, parent, name), S_IFREG | 0o600, DEFAULT_GOAL);
    this.#result.lostAndFound.files += 1;
    return inode;
  }

  #lostAndFound(): number {
    const { tx } = this.#options;
    const existing = tx.dentries.get(ROOT_INODE, Buffer.from(LOST_AND_FOUND));
    if (existing && isDirectory(existing.mode)) return existing.inode;
    const name = freeName(tx, ROOT_INODE, LOST_AND_FOUND);
    const inode = this.#insert(ROOT_INODE, name, S_IFDIR | 0o700, GOAL_OF_CREATOR);
    const root = tx.inodes.get(ROOT_INODE);
    if (root) tx.inodes.update({ ...root, nlink: root.nlink + 1 });
    return inode;
  }

  #insert(parent: number, name: Buffer, mode: number, goal: number): number {
    const { tx, now } = this.#options;
    const inode = this.#nextInode;
    this.#nextInode += 1;
    const isDirectoryMode = isDirectory(mode);
    tx.inodes.insert({
      inode,
      generation: 1,
      mode,
      nlink: isDirectoryMode ? 2 : 1,
      uid: 0,
      gid: 0,
      rdev: 0,
      size: 0,
      allocated: 0,
      atime: now,
      mtime: now,
      ctime: now,
      version: 1,
      goal,
      parent: isDirectoryMode ? parent : 0,
    });
    tx.dentries.insert(parent, name, inode);
    return inode;
  }
}

/** `name`, or with a number behind it when it is taken. */
function freeName(tx: SqliteTransaction, parent: number, name: string): Buffer {
  for (let number = 1; ; number += 1) {
    const bytes = Buffer.from(number === 1 ? name : `${name}.${number}`);
    if (!tx.dentries.get(parent, bytes)) return bytes;
  }
}
