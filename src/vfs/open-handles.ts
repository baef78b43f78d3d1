/** The handles that programs have on open files, and which failures each of them has been told of. */
import { DfsError } from '../protocol/errors.js';
import type { FileHandle } from './file-system.js';
import type { OpenFile } from './open-file.js';
import type { ReadAhead } from './read-ahead.js';

/** Handles fit 31 bits, which is what libfuse's callers keep them in. */
const MAX_HANDLE = 0x7fff_ffff;

export interface Handle {
  readonly file: OpenFile;
  /** Those of open(2). */
  readonly flags: number;
  readonly readAhead: ReadAhead;
  /** Failures of the file that this handle has been told of, or that are older than it. */
  toldFailures: number;
  /** Others may have had a lock of this client on the file: what the handle's user believes of it may be false. */
  hasLostLock: boolean;
}

export class OpenHandles implements Iterable<readonly [FileHandle, Handle]> {
  /** number → handle */
  readonly #handles = new Map<FileHandle, Handle>();
  #last = 0;

  [Symbol.iterator](): IterableIterator<[FileHandle, Handle]> {
    return this.#handles.entries();
  }

  /** Gives a handle its number. */
  add(handle: Omit<Handle, 'hasLostLock'>): FileHandle {
    do {
      this.#last = this.#last >= MAX_HANDLE ? 1 : this.#last + 1;
    } while (this.#handles.has(this.#last));
    this.#handles.set(this.#last, { ...handle, hasLostLock: false });
    return this.#last;
  }

  /** The number that was given last. */
  get last(): FileHandle {
    return this.#last;
  }

  /**
   * Takes over what an earlier process had given numbers.
   * @param last the number that it had given last
   */
  restore(handles: Iterable<readonly [FileHandle, Handle]>, last: FileHandle): void {
    for (const [number, handle] of handles) this.#handles.set(number, handle);
    this.#last = last;
  }

  /** EBADF when no file is open under this number. */
  get(number: FileHandle): Handle {
    const handle = this.#handles.get(number);
    if (!handle) throw new DfsError('EBADF', `no file is open as ${number}`);
    return handle;
  }

  /** As `get`; EIO when the handle is from before a lock was lost. */
  usable(number: FileHandle): Handle {
    const handle = this.get(number);
    const loss = lossOf(handle);
    if (loss) throw loss;
    return handle;
  }

  /** As `get`, and from now on the number belongs to nobody. */
  take(number: FileHandle): Handle {
    const handle = this.get(number);
    this.#handles.delete(number);
    return handle;
  }

  /** Locks on these inodes were given to others: their handles are of no use, and what was written by them is given up. */
  loseLocks(inodes: readonly number[]): void {
    const lost = new Set(inodes);
    for (const handle of this.#handles.values()) {
      if (!lost.has(handle.file.inode)) continue;
      handle.hasLostLock = true;
      handle.file.abandonWrites(lostLock());
    }
  }
}

/** Why nothing may be changed by the handle any more, if a lock was lost. */
export function lossOf({ hasLostLock }: Pick<Handle, 'hasLostLock'>): DfsError | undefined {
  return hasLostLock ? lostLock() : undefined;
}

/** Throws the failure of an earlier write; once to each handle, as fsync(2) has it. */
export function reportFailure(handle: Handle): void {
  const { file } = handle;
  if (handle.toldFailures === file.failures) return;
  handle.toldFailures = file.failures;
  throw file.lastFailure ?? new DfsError('EIO', 'an earlier write failed');
}

function lostLock(): DfsError {
  return new DfsError(
    'EIO',
    'this client was away for so long that its lock on the file was given to others; open the file anew',
  );
}
