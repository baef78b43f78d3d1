/** A file in a DFS as a copy reads or writes it. */
import {
  isDirectory,
  isRegularFile,
  isSymlink,
  PERMISSION_BITS,
  S_IFIFO,
  S_IFMT,
  S_IFSOCK,
} from '../../protocol/file-mode.js';
import type { Payload } from '../../protocol/frame.js';
import type { Attributes } from '../../protocol/types.js';
import type { FileSystem } from '../../vfs/file-system.js';
import type { Entry, Reader, Writer } from './tree.js';

const READ_BYTES = 1 << 20;

export class DfsReader implements Reader {
  readonly #fileSystem: FileSystem;
  readonly #handle: number;
  #offset = 0;

  constructor(fileSystem: FileSystem, handle: number) {
    this.#fileSystem = fileSystem;
    this.#handle = handle;
  }

  async read(): Promise<Payload | undefined> {
    const payload = await this.#fileSystem.read(this.#handle, this.#offset, READ_BYTES);
    const bytes = payload.reduce((sum, piece) => sum + piece.length, 0);
    this.#offset += bytes;
    return bytes === 0 ? undefined : payload;
  }

  async close(): Promise<void> {
    await this.#fileSystem.release(this.#handle);
  }
}

export class DfsWriter implements Writer {
  readonly #fileSystem: FileSystem;
  readonly #handle: number;
  /** The handle stays open when everything is written, since it alone keeps the file alive. */
  readonly #isUnnamed: boolean;
  #offset = 0;
  /** Where the last byte written ends. */
  #end = 0;

  constructor(fileSystem: FileSystem, handle: number, isUnnamed: boolean) {
    this.#fileSystem = fileSystem;
    this.#handle = handle;
    this.#isUnnamed = isUnnamed;
  }

  async write(pieces: Payload): Promise<void> {
    for (const bytes of pieces) {
      await this.#fileSystem.write(this.#handle, this.#offset, bytes);
      this.#offset += bytes.length;
    }
    this.#end = this.#offset;
  }

  skip(bytes: number): void {
    this.#offset += bytes;
  }

  async finish(isDurable: boolean): Promise<void> {
    if (this.#offset > this.#end) {
      await this.#fileSystem.setattr(this.#fileSystem.inodeOf(this.#handle), { size: this.#offset });
    }
    if (isDurable) await this.#fileSystem.fsync(this.#handle);
    else await this.#fileSystem.flush(this.#handle);
    if (!this.#isUnnamed) await this.#fileSystem.release(this.#handle);
  }

  async abandon(): Promise<void> {
    if (this.#isUnnamed) return;
    // It may be released already, and nobody needs it any more.
    await this.#fileSystem.release(this.#handle).catch(() => undefined);
  }
}

/** An inode's attributes, as a copy sees them. */
export function entryOf(attributes: Attributes): Entry {
  const { mode, uid, gid, size, allocated, atime, mtime } = attributes;
  return {
    kind: kindOf(mode),
    permissions: mode & PERMISSION_BITS,
    uid,
    gid,
    sizeBytes: size,
    isSparse: allocated < size,
    atime,
    mtime,
  };
}

function kindOf(mode: number): Entry['kind'] {
  if (isRegularFile(mode)) return 'file';
  if (isDirectory(mode)) return 'directory';
  if (isSymlink(mode)) return 'symlink';
  const type = mode & S_IFMT;
  if (type === S_IFIFO) return 'fifo';
  return type === S_IFSOCK ? 'socket' : 'device';
}
