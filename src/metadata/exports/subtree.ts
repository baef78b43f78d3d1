/**
 * Whether inodes lie below a directory. Directories know their parent, and what was found of them is kept until a directory is moved;
 * of other inodes every name is looked at (`dentries_by_inode`, an index that is made with the first rule for a subtree).
 */
import { isDirectory, ROOT_INODE } from '../../protocol/file-mode.js';
import type { StoreTransaction } from '../store/store.js';

/** How many directories are kept. */
const MAX_KNOWN = 100_000;
/** Of a file with more names than these, the others do not count. */
const MAX_NAMES = 1000;

type Tables = Pick<StoreTransaction, 'inodes' | 'dentries'>;

/** Directories and their parents, as far as they were asked for. */
export class DirectoryParents {
  /** directory → its parent */
  readonly #parents = new Map<number, number>();

  /** A directory has another parent, or has one no longer. */
  forget(): void {
    this.#parents.clear();
  }

  /** Whether the directory is `root`, or lies below it. */
  async isBelow(tx: Tables, directory: number, root: number): Promise<boolean> {
    for (let at = directory; at !== root;) {
      if (at === ROOT_INODE) return false;
      const parent = this.#parents.get(at) ?? (await tx.inodes.get(at))?.parent;
      if (parent === undefined || parent === 0) return false;
      if (this.#parents.size >= MAX_KNOWN) this.#parents.clear();
      this.#parents.set(at, parent);
      at = parent;
    }
    return true;
  }

  /** Whether the inode has a name below `root`, or is to get its first one there. One that does not exist is nowhere. */
  async contains(tx: Tables, inode: number, root: number): Promise<boolean> {
    if (inode === root || this.#parents.has(inode)) return await this.isBelow(tx, inode, root);
    const record = await tx.inodes.get(inode);
    if (!record) return false;
    if (isDirectory(record.mode)) return await this.isBelow(tx, inode, root);
    if (record.parent !== 0) return await this.isBelow(tx, record.parent, root);
    for (const directory of await tx.dentries.directoriesOf(inode, MAX_NAMES))
      if (await this.isBelow(tx, directory, root)) return true;
    return false;
  }
}
