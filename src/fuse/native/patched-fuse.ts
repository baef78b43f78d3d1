/** fuse-native 2.2.6 with its mistakes put right, as far as that is possible from outside. */
import Fuse from 'fuse-native';
import { ERRNO } from '../../protocol/errors.js';
import type { StatFields } from './stat-fields.js';

/** Ends a request of the kernel. */
type Signal = (status: number, ...results: unknown[]) => void;

/** Ends an operation with a negative errno, or with what it found. */
type Done = (status: number, ...results: unknown[]) => unknown;

/** What is called past the library, which gets it wrong. */
export interface PatchedOperations {
  fgetattr(path: string, handle: number, done: Done): unknown;
  getattr(path: string, done: Done): unknown;
  getxattr(path: string, name: string, position: number, done: Done): unknown;
  listxattr(path: string, done: Done): unknown;
}

const OP_UTIMENS = 12;
/** Where fuse_thread_locals_t (fuse-native.c) has the two times, in milliseconds, on 64-bit machines. */
const ATIME_OFFSET = 104;
const MTIME_OFFSET = 112;

export class PatchedFuse extends Fuse {
  readonly #operations: PatchedOperations;
  readonly #mountOptions: readonly string[];

  /** @param mountOptions as mount.fuse(8) has them */
  constructor(mountPoint: string, operations: PatchedOperations, mountOptions: readonly string[]) {
    super(mountPoint, operations, { timeout: false });
    this.#operations = operations;
    this.#mountOptions = mountOptions;
  }

  /** The library knows neither big_writes nor use_ino nor the cache times. */
  protected override _fuseOptions(): string {
    return `-o${this.#mountOptions.join(',')}`;
  }

  /**
   * The library hands the atime twice and never the mtime, which it has all the same in the memory that comes as the
   * first argument. That the atime is found there too shows that the memory is laid out as expected.
   */
  protected override _makeHandlerArray(): ReturnType<Fuse['_makeHandlerArray']> {
    const handlers = super._makeHandlerArray();
    const utimens = handlers[OP_UTIMENS];
    if (utimens) {
      handlers[OP_UTIMENS] = (threadLocals, opcode, path = '', low = 0, high = 0) => {
        const isAsExpected =
          threadLocals.length >= MTIME_OFFSET + 8 &&
          threadLocals.readUInt32LE(ATIME_OFFSET) === low &&
          threadLocals.readUInt32LE(ATIME_OFFSET + 4) === high;
        const mtimeLow = isAsExpected ? threadLocals.readUInt32LE(MTIME_OFFSET) : low;
        const mtimeHigh = isAsExpected ? threadLocals.readUInt32LE(MTIME_OFFSET + 4) : high;
        return utimens(threadLocals, opcode, path, low, high, mtimeLow, mtimeHigh);
      };
    }
    return handlers;
  }

  /** The library asks by path although it has the handle. */
  protected _op_fgetattr(signal: Signal, path: string, handle: number): void {
    const done: Done = (status, stat) => signal(status, statArray(stat as StatFields | undefined));
    // Without a handle libfuse means the path.
    if (handle === 0) this.#operations.getattr(path, done);
    else this.#operations.fgetattr(path, handle, done);
  }

  /** getxattr(2): size 0 asks how large the value is, and one that does not fit is ERANGE rather than cut off. */
  protected _op_getxattr(signal: Signal, path: string, name: string, room: Buffer): void {
    this.#operations.getxattr(path, name, 0, (status, value) => {
      if (!Buffer.isBuffer(value)) signal(status, memoryOf(room));
      else if (room.length === 0) signal(value.length, memoryOf(room));
      else if (value.length > room.length) signal(-ERRNO.ERANGE, memoryOf(room));
      else signal(value.copy(room), memoryOf(room));
    });
  }

  /** listxattr(2): as above, for the names with a NUL after each. */
  protected _op_listxattr(signal: Signal, path: string, room: Buffer): void {
    this.#operations.listxattr(path, (status, list) => {
      if (!Buffer.isBuffer(list)) signal(status, memoryOf(room));
      else if (room.length === 0) signal(list.length, memoryOf(room));
      else if (list.length > room.length) signal(-ERRNO.ERANGE, memoryOf(room));
      else signal(list.copy(room), memoryOf(room));
    });
  }
}

/** The native side takes the memory away when it is signalled, and stops the process if that cannot be done. */
function memoryOf(room: Buffer): ArrayBufferLike {
  return room.length === 0 ? new ArrayBuffer(1) : room.buffer;
}

/** The library's own form of struct stat (getStatArray in its index.js). */
function statArray(stat: StatFields | undefined): Uint32Array {
  const fields = new Uint32Array(18);
  if (!stat) return fields;
  const { mode, uid, gid, size, dev, nlink, ino, rdev, blksize, blocks, atime, mtime, ctime } = stat;
  const wide = (value: number): [number, number] => [value % 2 ** 32, Math.floor(value / 2 ** 32)];
  fields.set([mode, uid, gid, ...wide(size), dev, nlink, ino, rdev, blksize]);
  fields.set([...wide(blocks), ...wide(atime), ...wide(mtime), ...wide(ctime)], 10);
  return fields;
}
