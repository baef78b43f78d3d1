/**
 * Attributes as the kernel was told them last, for what is removed while a program has it open without a handle (a directory, a
 * FIFO, O_PATH): the server does not know it any more, and fstat(2) still answers. Those told longest ago are forgotten,
 * of files and of the rest apart, since there are many more files.
 */
import { LRUCache } from 'lru-cache';
import { isRegularFile, isSymlink } from '../../protocol/file-mode.js';
import { TOLD_BYTES } from '../../vfs/file-system.js';
import type { Attributes } from '../../protocol/types.js';

const MAX_INODES = 2048;

export class LastTold {
  readonly #files: LRUCache<number, Attributes>;
  readonly #others: LRUCache<number, Attributes>;

  /** @param maxBytes memory for both */
  constructor(maxBytes: number) {
    const max = Math.min(MAX_INODES, Math.max(1, Math.floor(maxBytes / 2 / TOLD_BYTES)));
    this.#files = new LRUCache({ max });
    this.#others = new LRUCache({ max });
  }

  get usedBytes(): number {
    return (this.#files.size + this.#others.size) * TOLD_BYTES;
  }

  /** All of them, those told longest ago first. */
  all(): Attributes[] {
    return [...this.#files.rvalues(), ...this.#others.rvalues()].filter(told => told !== undefined);
  }

  note(attributes: Attributes): void {
    const { inode, mode } = attributes;
    const told = isRegularFile(mode) || isSymlink(mode) ? this.#files : this.#others;
    told.set(inode, attributes);
  }

  get(inode: number): Attributes | undefined {
    return this.#others.get(inode) ?? this.#files.get(inode);
  }
}
