/**
 * Files of this machine that belong to somebody else, and are only read. They come in through this interface (DESIGN
 * decision 9): a simulated client has none. Every method rejects with the system's error (`code`: ENOENT, EACCES, …).
 */
import { close, constants, fstat, open } from 'node:fs';
import { promisify } from 'node:util';
import { loadReadCached, type ReadCached } from './cached-read.js';
import { readFully } from './positional-read.js';

/** An open file. Positions and lengths are bytes. */
export interface LocalFile {
  /** As ReadCached: the bytes if they are at hand, good until the next call for any file. */
  preadCached(length: number, position: number): Buffer | undefined;
  /** Fills `target` from `position` on; the result is less than its length only at the end of the file. */
  pread(target: Buffer, position: number): Promise<number>;
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
  readonly #readCached: ReadCached;

  constructor(descriptor: number, readCached: ReadCached) {
    this.#descriptor = descriptor;
    this.#readCached = readCached;
  }

  preadCached(length: number, position: number): Buffer | undefined {
    return this.#readCached(this.#descriptor, length, position);
  }

  async pread(target: Buffer, position: number): Promise<number> {
    return await readFully(this.#descriptor, target, position);
  }

  async isDeleted(): Promise<boolean> {
    return (await fstatAsync(this.#descriptor)).nlink === 0;
  }

  async close(): Promise<void> {
    await closeAsync(this.#descriptor);
  }
}

let loadingReadCached: Promise<ReadCached> | undefined;

/** The machine's own files. */
export const nodeLocalFiles: LocalFiles = {
  async open(path) {
    // Another process names the path: O_NONBLOCK, since opening a pipe would wait for its other end.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;
    loadingReadCached ??= loadReadCached();
    const readCached = await loadingReadCached;
    const descriptor = await openAsync(path, flags);
    if ((await fstatAsync(descriptor)).isFile()) return new NodeLocalFile(descriptor, readCached);
    await closeAsync(descriptor);
    throw Object.assign(new Error(`${path} is no regular file`), { code: 'EINVAL' });
  },
};
