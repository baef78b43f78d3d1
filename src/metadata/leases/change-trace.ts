/** What a request changed, as far as other sessions may have cached it. */
import type { InodeRecord } from '../store/store.js';

/** A name, and where it leads now; 0: nowhere. */
export interface ChangedEntry {
  readonly name: Uint8Array;
  readonly inode: number;
}

export interface InodeChange {
  /** The content's version after the change. */
  version: number;
  /** Whether names below it may be cached too. */
  isDirectory: boolean;
  /** Names in this directory that came, went, or lead to another inode. */
  names: ChangedEntry[];
  /** What it is now; undefined when it is no more, or only its names changed. */
  record: InodeRecord | undefined;
  /**
   * A session leaves the directory to another one for its turn. The names that it knows are true up to this position
   * (changed-names.ts), and the server tells it of no later change.
   */
  leftAt?: number | undefined;
}

export class ChangeTrace {
  /** inode → what became of it */
  readonly inodes = new Map<number, InodeChange>();
  /** Inodes that are no more. */
  readonly removed: number[] = [];
  /** The request was executed before, and its answer given from memory: what it changed is not known any more. */
  isRepeated = false;

  /** The transaction was rolled back. */
  clear(): void {
    this.inodes.clear();
    this.removed.length = 0;
    this.isRepeated = false;
  }

  inode(record: InodeRecord, isDirectory: boolean): void {
    const change = this.#change(record.inode);
    change.record = record;
    change.version = record.version;
    change.isDirectory = isDirectory;
  }

  gone(inode: number): void {
    this.removed.push(inode);
    this.#change(inode).record = undefined;
  }

  /** @param inode where the name leads now; 0: nowhere */
  name(directory: number, name: Uint8Array, inode: number): void {
    const change = this.#change(directory);
    change.isDirectory = true;
    change.names.push({ name, inode });
  }

  #change(inode: number): InodeChange {
    let change = this.inodes.get(inode);
    if (!change)
      this.inodes.set(inode, (change = { version: 0, isDirectory: false, names: [], record: undefined }));
    return change;
  }
}
