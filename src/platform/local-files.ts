/**
 * Read access to files of this machine that belong to another process. They come in through this interface
 * (docs/decisions/09): a simulated client has none. Every method rejects with the system's error (`code`: ENOENT, EACCES, …).
 */
import { close, constants, fstat, open } from 'node:fs';
import { promisify } from 'node:util';
import { cachedReads, type CachedReads } from './cached-read.js';
import { DirectlyReadFile } from './direct-reads.js';
import { readFully } from './positional-read.js';

/** An open file. Positions and lengths are bytes. */
export interface LocalFile {
  /** As CachedReads.read: the bytes if they are at hand, good until the next call for any file. */
  preadCached(length: number, position: number): Buffer | undefined;
  /** As CachedReads.readInto: whether all of `target` could be filled without waiting. */
  preadCachedInto(target: Buffer, position: number): boolean;
  /** As CachedReads.isAbsent. */
  isAbsent(position: number, length: number): boolean;
  /** As CachedReads.prefetch. */
  prefetch(position: number, length: number): Promise<void>;
  /** Fills `target` from `position` on; the result is less than its length only at the end of the file. */
  pread(target: Buffer, position: number): Promise<number>;
  /** As DirectlyReadFile.read: past the page cache, if that can be. */
  preadDirect(memory: Buffer, length: number, position: number): Promise<Buffer | undefined>;
  /** Whether the file has no name any more, so that only who has it open keeps its space. */
  isDeleted(): Promise<boolean>;
  close(): Promise<void>;
}

export interface LocalFiles {
  /** Opens a regular file for reading; EINVAL for anything else. */
  open(path: string): Promise<LocalFile>;
}

const openAsync = promisify(open);
const closeAsync = promisify(close);
const fstatAsync = promisify(fstat);

class NodeLocalFile implements LocalFile {
  readonly #descriptor: number;
  readonly #cached: CachedReads;
  /** The same file past the page cache, once something was read that way; undefined where that cannot be. */
  #direct: Promise<DirectlyReadFile | undefined> | undefined;

  constructor(descriptor: number, cached: CachedReads) {
    this.#descriptor = descriptor;
    this.#cached = cached;
  }

  preadCached(length: number, position: number): Buffer | undefined {
    return this.#cached.read(this.#descriptor, length, position);
  }

  preadCachedInto(target: Buffer, position: number): boolean {
    return this.#cached.readInto(this.#descriptor, target, position);
  }

  isAbsent(position: number, length: number): boolean {
    return this.#cached.isAbsent(this.#descriptor, position, length);
  }

  async prefetch(position: number, length: number): Promise<void> {
    await this.#cached.prefetch(this.#descriptor, position, length);
  }

  async pread(target: Buffer, position: number): Promise<number> {
    return await readFully(this.#descriptor, target, position);
  }

  async preadDirect(memory: Buffer, length: number, position: number): Promise<Buffer | undefined> {
    this.#direct ??= DirectlyReadFile.open(this.#descriptor);
    return await (await this.#direct)?.read(memory, length, position);
  }

  async isDeleted(): Promise<boolean> {
    return (await fstatAsync(this.#descriptor)).nlink === 0;
  }

  async close(): Promise<void> {
    try {
      await (await this.#direct)?.close();
    } finally {
      await closeAsync(this.#descriptor);
    }
  }
}

/** The machine's own files. */
export const nodeLocalFiles: LocalFiles = {
  async open(path) {
    // Another process names the path: O_NONBLOCK, since opening a pipe would wait for its other end.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;
    const cached = await cachedReads();
    const descriptor = await openAsync(path, flags);
    if ((await fstatAsync(descriptor)).isFile()) return new NodeLocalFile(descriptor, cached);
    await closeAsync(descriptor);
    throw Object.assign(new Error(`${path} is no regular file`), { code: 'EINVAL' });
  },
};
