/** What a request changed, as far as other sessions may have cached it. */
import type { InodeRecord } from '../store/store.js';

export interface InodeChange {
  /** The content's version after the change. */
  version: number;
  /** Whether names below it may be cached too. */
  isDirectory: boolean;
  /** Names in this directory that came, went, or lead to another inode. */
  names: Uint8Array[];
}

export class ChangeTrace {
  /** inode → what became of it */
  readonly inodes = new Map<number, InodeChange>();
  /** The request was executed before, and its answer given from memory: what it changed is not known any more. */
  isRepeated = false;

  /** The transaction was rolled back. */
  clear(): void {
    this.inodes.clear();
    this.isRepeated = false;
  }

  inode(record: InodeRecord, isDirectory: boolean): void {
    const change = this.#change(record.inode);
    change.version = record.version;
    change.isDirectory = isDirectory;
  }

  gone(inode: number): void {
    this.#change(inode);
  }

  name(directory: number, name: Uint8Array): void {
    const change = this.#change(directory);
    change.isDirectory = true;
    change.names.push(name);
  }

  #change(inode: number): InodeChange {
    let change = this.inodes.get(inode);
    if (!change) this.inodes.set(inode, (change = { version: 0, isDirectory: false, names: [] }));
    return change;
  }
}
