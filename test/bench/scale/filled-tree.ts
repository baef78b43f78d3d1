/**
 * A tree of about a hundred entries a directory. Inodes are numbered in order, so that whoever knows the tree's size knows
 * every name and number in it.
 */
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { DatabaseFiller } from './filled-database.js';

const ENTRIES = 100;

export interface TreeFile {
  readonly parent: number;
  readonly name: Buffer;
  readonly inode: number;
}

export class FilledTree {
  /** The directories that hold files, each followed by its files. */
  readonly leaves: number;
  /** The directories in the root. */
  readonly top: readonly number[];
  readonly #firstLeaf: number;

  private constructor(leaves: number, top: readonly number[], firstLeaf: number) {
    this.leaves = leaves;
    this.top = top;
    this.#firstLeaf = firstLeaf;
  }

  /** Adds a tree of about `inodes` inodes. */
  static fill(filler: DatabaseFiller, inodes: number): FilledTree {
    const leaves = Math.max(2, Math.floor(inodes / (ENTRIES + 1)));
    // From the root downwards, how many directories each level above the leaves has.
    const levels: number[] = [];
    for (let count = Math.ceil(leaves / ENTRIES); ; count = Math.ceil(count / ENTRIES)) {
      levels.unshift(count);
      if (count <= ENTRIES) break;
    }
    let above = [ROOT_INODE];
    let top: number[] = [];
    for (const count of levels) {
      const parents = above;
      above = Array.from({ length: count }, (_, index) =>
        filler.addDirectory(parentOf(parents, index), nameOf(index)),
      );
      if (top.length === 0) top = above;
    }
    const firstLeaf = filler.nextInode;
    for (let leaf = 0; leaf < leaves; leaf += 1) {
      const directory = filler.addDirectory(parentOf(above, leaf), nameOf(leaf));
      for (let index = 0; index < ENTRIES; index += 1) filler.addFile(directory, fileName(index));
    }
    return new FilledTree(leaves, top, firstLeaf);
  }

  /** The inode of a directory that holds files. */
  leaf(index: number): number {
    return this.#firstLeaf + index * (ENTRIES + 1);
  }

  /** A file of that directory. */
  file(leaf: number, index: number): TreeFile {
    const parent = this.leaf(leaf);
    return { parent, name: Buffer.from(fileName(index)), inode: parent + 1 + index };
  }

  /** Any file in the leaves from `from` to before `to`. */
  randomFile(from = 0, to = this.leaves): TreeFile {
    return this.file(this.randomLeaf(from, to), Math.floor(Math.random() * ENTRIES));
  }

  randomLeaf(from = 0, to = this.leaves): number {
    return from + Math.floor(Math.random() * (to - from));
  }
}

function parentOf(parents: readonly number[], index: number): number {
  return parents[Math.floor(index / ENTRIES)] ?? parents.at(-1) ?? ROOT_INODE;
}

function nameOf(directory: number): string {
  return `directory-${directory.toString().padStart(6, '0')}`;
}

function fileName(index: number): string {
  return `report-${index.toString().padStart(4, '0')}.txt`;
}
