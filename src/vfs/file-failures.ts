/**
 * Failures of what a program was told is written. Open handles report them; those of files that nobody has open wait here
 * for the next open.
 */
import { LRUCache } from 'lru-cache';
import type { DfsError } from '../protocol/errors.js';
import { decodeFailure, encodeFailure, type OpenFilesState } from '../protocol/take-over.js';
import type { OpenFile } from './open-file.js';

/** Files whose failures are remembered. */
const REMEMBERED_FILES = 4096;

export class FileFailures {
  readonly #files: { get(inode: number): OpenFile | undefined };
  /** inode → a failure that no program was told of */
  readonly #untold = new LRUCache<number, DfsError>({ max: REMEMBERED_FILES });

  /** @param files the open files, and those whose written data is not committed yet */
  constructor(files: { get(inode: number): OpenFile | undefined }) {
    this.#files = files;
  }

  /** One of the failures that no program was told of, if there is any. */
  get untold(): DfsError | undefined {
    const [first] = this.#untold.values();
    return first;
  }

  /** What a successor of this process has to know (protocol/take-over.ts). */
  state(): OpenFilesState['failures'] {
    return [...this.#untold.entries()].map(([inode, reason]) => ({ inode, failure: encodeFailure(reason) }));
  }

  restore(failures: OpenFilesState['failures']): void {
    for (const { inode, failure } of failures) this.#untold.set(inode, decodeFailure(failure));
  }

  /** A change that was acknowledged is lost: the open handles of the file report it, or the next open does. */
  note(inode: number, reason: DfsError): void {
    const file = this.#files.get(inode);
    if (file && file.handles > 0) file.noteFailure(reason);
    else this.#untold.set(inode, reason);
  }

  /** A handle is closed that was not told of the last failure. */
  leave(file: OpenFile): void {
    if (file.lastFailure) this.#untold.set(file.inode, file.lastFailure);
  }

  /** Gives what nobody was told of to a file that was opened: its new handle reports it. */
  handTo(file: OpenFile): void {
    const reason = this.#untold.get(file.inode);
    if (!reason) return;
    this.#untold.delete(file.inode);
    file.noteFailure(reason);
  }
}
