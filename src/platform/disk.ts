/**
 * Files come in through this interface (docs/decisions/09), so that a simulation can bring a disk that fills up, fails
 * or forgets what was not synced. Every method rejects with the system's error (`code`: ENOENT, ENOSPC, EIO, …).
 */
import {
  close,
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstat,
  ftruncate,
  open,
  openSync,
  readdir,
  rename,
  rmdir,
  statfs,
  unlink,
  writev,
  writevSync,
} from 'node:fs';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { allocateFile } from './allocate-file.js';
import { cachedReads, MAX_CACHED_READ_BYTES } from './cached-read.js';
import { DIRECT_SLACK_BYTES, DirectlyReadFile } from './direct-reads.js';
import { DirectFile, FasterWay, MIN_DIRECT_BYTES } from './direct-writes.js';
import { takeExclusiveLock, type ExclusiveLock } from './exclusive-lock.js';
import { makeDirectories } from './make-directories.js';
import { payloadBytes, slicePayload } from './payload.js';
import { readFully } from './positional-read.js';
import { QuickSyncs } from './quick-syncs.js';

const SMALL_WRITE_BYTES = 64 << 10;

/** An open file. Positions and lengths are bytes. */
export interface DiskFile {
  /** Writes all pieces one after the other from `position` on. When it rejects, a part may have been written. */
  writev(pieces: readonly Buffer[], position: number): Promise<void>;
  /**
   * Fills `target` from `position` on; the result is less than its length only at the end of the file.
   * @param isAlone this process will not want what follows, so the system need not read ahead
   */
  pread(target: Buffer, position: number, isAlone?: boolean): Promise<number>;
  /**
   * What was written is on stable storage, and so is the file's length (fdatasync(2)).
   * @param unsyncedBytes what was written since the last time: little is synced on the main thread where the disk is quick
   */
  datasync(unsyncedBytes?: number): Promise<void>;
  truncate(lengthBytes: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** Room on the file system that holds a path. */
export interface DiskSpace {
  readonly totalBytes: number;
  /** What a process without special rights may still write. */
  readonly availableBytes: number;
}

export interface Disk {
  /** Opens for reading and writing; `create` makes the file if there is none. */
  open(path: string, how: 'existing' | 'create'): Promise<DiskFile>;
  /** Makes a directory and those above it; one that exists is fine. */
  makeDirectory(path: string): Promise<void>;
  /** The names in a directory, in no order. */
  list(path: string): Promise<string[]>;
  unlink(path: string): Promise<void>;
  /** Removes an empty directory. */
  removeDirectory(path: string): Promise<void>;
  /** Replaces what is at `to`. */
  rename(from: string, to: string): Promise<void>;
  /** Names created, removed or renamed in this directory are on stable storage. */
  syncDirectory(path: string): Promise<void>;
  space(path: string): Promise<DiskSpace>;
  /** A file whose bytes, whatever they are, have their room on the disk. ENOSPC: then there is no such file. */
  allocate(path: string, bytes: number): Promise<void>;
  /** As `takeExclusiveLock`; throws LockHeldError. */
  lock(path: string, holder: string): ExclusiveLock;
  /** Opens an SQLite database; `create` makes an empty one if there is none. */
  openDatabase(path: string, how: 'existing' | 'create'): Database.Database;
}

// Callbacks and plain descriptors: FileHandle of node:fs/promises costs about twice as much for a small read or write.
const openAsync = promisify(open);
const closeAsync = promisify(close);
const fdatasyncAsync = promisify(fdatasync);
const ftruncateAsync = promisify(ftruncate);
const fstatAsync = promisify(fstat);
const unlinkAsync = promisify(unlink);
const rmdirAsync = promisify(rmdir);
const renameAsync = promisify(rename);
const statfsAsync = promisify(statfs);
const readdirAsync = promisify(readdir);

class NodeFile implements DiskFile {
  readonly #descriptor: number;
  readonly #fasterWay: FasterWay;
  /** The same file past the page cache, once something large was written; undefined where that cannot be. */
  #direct: Promise<DirectFile | undefined> | undefined;
  /** The same for reads. */
  #directlyRead: Promise<DirectlyReadFile | undefined> | undefined;

  constructor(descriptor: number, fasterWay: FasterWay) {
    this.#descriptor = descriptor;
    this.#fasterWay = fasterWay;
  }

  async writev(pieces: readonly Buffer[], position: number): Promise<void> {
    const bytes = payloadBytes(pieces);
    if (bytes < MIN_DIRECT_BYTES) {
      await this.#writeCached(pieces, bytes, position);
      return;
    }
    const way = this.#fasterWay.choose();
    const beganMs = performance.now();
    if (way === 'direct') await this.#writeDirect(pieces, bytes, position);
    else await this.#writeCached(pieces, bytes, position);
    this.#fasterWay.note(way, bytes, performance.now() - beganMs);
  }

  async #writeDirect(pieces: readonly Buffer[], bytes: number, position: number): Promise<void> {
    this.#direct ??= DirectFile.open(this.#descriptor);
    const left = (await (await this.#direct)?.write(pieces, position)) ?? [{ from: 0, to: bytes }];
    for (const { from, to } of left)
      await this.#writeCached(slicePayload(pieces, from, to - from), to - from, position + from);
  }

  async #writeCached(pieces: readonly Buffer[], bytes: number, position: number): Promise<void> {
    let rest = pieces.filter(piece => piece.length > 0);
    for (let left = bytes; left > 0;) {
      const written = await this.#writeSome(rest, left, position + bytes - left);
      left -= written;
      if (left > 0) rest = slicePayload(rest, written, left);
    }
  }

  async pread(target: Buffer, position: number, isAlone = false): Promise<number> {
    const cached = await cachedReads();
    const isAbsent = isAlone && cached.isAbsent(this.#descriptor, position, target.length);
    const alone = isAbsent ? await this.#readAlone(target.length, position) : undefined;
    const isSmall = target.length <= MAX_CACHED_READ_BYTES;
    if (!alone && isSmall && cached.readInto(this.#descriptor, target, position)) return target.length;
    return alone?.copy(target) ?? (await readFully(this.#descriptor, target, position));
  }

  /** Past the page cache, which would read up to MiB ahead; undefined where that cannot be. */
  async #readAlone(length: number, position: number): Promise<Buffer | undefined> {
    this.#directlyRead ??= DirectlyReadFile.open(this.#descriptor);
    const file = await this.#directlyRead;
    return await file?.read(Buffer.allocUnsafeSlow(length + DIRECT_SLACK_BYTES), length, position);
  }

  async datasync(unsyncedBytes = Infinity): Promise<void> {
    const isAtOnce = quickSyncs.mayBeAtOnce(unsyncedBytes);
    const beganMs = performance.now();
    if (isAtOnce) fdatasyncSync(this.#descriptor);
    else await fdatasyncAsync(this.#descriptor);
    quickSyncs.note(unsyncedBytes, isAtOnce, performance.now() - beganMs);
  }

  async truncate(lengthBytes: number): Promise<void> {
    await ftruncateAsync(this.#descriptor, lengthBytes);
  }

  async size(): Promise<number> {
    return (await fstatAsync(this.#descriptor)).size;
  }

  async close(): Promise<void> {
    try {
      await (await this.#direct)?.close();
      await (await this.#directlyRead)?.close();
    } finally {
      await closeAsync(this.#descriptor);
    }
  }

  async #writeSome(pieces: Buffer[], bytes: number, position: number): Promise<number> {
    // Copying so little into the page cache takes less time than waking a thread to do it, and being woken by it.
    if (bytes <= SMALL_WRITE_BYTES) return writevSync(this.#descriptor, pieces, position);
    return await new Promise<number>((resolve, reject) => {
      writev(this.#descriptor, pieces, position, (error, written) => {
        if (error) reject(error);
        else resolve(written);
      });
    });
  }
}

/** Of large writes; a process has one data directory. */
const fasterWay = new FasterWay();
/** Of the same disk. */
const quickSyncs = new QuickSyncs();

/** The machine's own disk. */
export const nodeDisk: Disk = {
  async open(path, how) {
    const flags = how === 'create' ? constants.O_RDWR | constants.O_CREAT : constants.O_RDWR;
    return new NodeFile(await openAsync(path, flags, 0o600), fasterWay);
  },
  makeDirectory: async path => await makeDirectories(path, 0o700),
  list: async path => await readdirAsync(path),
  unlink: async path => await unlinkAsync(path),
  removeDirectory: async path => await rmdirAsync(path),
  rename: async (from, to) => await renameAsync(from, to),
  async syncDirectory(path) {
    const descriptor = await openAsync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await fdatasyncAsync(descriptor);
    } finally {
      await closeAsync(descriptor);
    }
  },
  async space(path) {
    const { blocks, bavail, bsize } = await statfsAsync(path);
    return { totalBytes: blocks * bsize, availableBytes: bavail * bsize };
  },
  allocate: allocateFile,
  lock: takeExclusiveLock,
  openDatabase(path, how) {
    if (how === 'create' && !existsSync(path)) closeSync(openSync(path, 'wx', 0o600));
    return new Database(path, { fileMustExist: true });
  },
};
