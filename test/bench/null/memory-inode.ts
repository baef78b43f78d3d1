/** An inode of the null file system. */
import { systemClock } from '../../../src/platform/clock.js';
import { isDirectory, isRegularFile } from '../../../src/protocol/file-mode.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { MemoryContent } from './memory-content.js';

export interface MemoryInodeOptions {
  readonly inode: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev?: number;
  readonly nlink: number;
  /** Of a directory. */
  readonly parent?: number;
  /** Of a symbolic link. */
  readonly target?: Buffer;
}

export class MemoryInode {
  readonly number: number;
  /** Bytes of a name as latin1 → inode; undefined for what is no directory */
  readonly names: Map<string, number> | undefined;
  /** Of a directory. */
  parent: number;
  /** Of a regular file. */
  readonly content: MemoryContent | undefined;
  readonly target: Buffer | undefined;
  /** name as latin1 → value */
  readonly xattrs = new Map<string, Buffer>();
  /** How many handles are open. */
  handles = 0;
  #attributes: Attributes;
  #sortedNames: string[] | undefined;

  constructor(options: MemoryInodeOptions) {
    const { inode, mode, uid, gid, rdev = 0, nlink, parent = 0, target } = options;
    this.number = inode;
    this.parent = parent;
    this.target = target;
    this.names = isDirectory(mode) ? new Map() : undefined;
    this.content = isRegularFile(mode) ? new MemoryContent() : undefined;
    const now = systemClock.now();
    const [times, size] = [{ atime: now, mtime: now, ctime: now }, target?.length ?? 0];
    const fixed = { generation: 1, allocated: 0, version: 1, goal: 1 };
    this.#attributes = { inode, mode, nlink, uid, gid, rdev, size, ...times, ...fixed };
  }

  get attributes(): Attributes {
    return this.#attributes;
  }

  /** Names in the order of their bytes. */
  get sortedNames(): readonly string[] {
    this.#sortedNames ??= [...(this.names?.keys() ?? [])].sort();
    return this.#sortedNames;
  }

  change(changes: Partial<Attributes>): void {
    this.#attributes = { ...this.#attributes, ctime: systemClock.now(), ...changes };
  }

  /** Gives the name to an inode, or to none. */
  setName(name: string, inode: number | undefined): void {
    if (inode === undefined) this.names?.delete(name);
    else this.names?.set(name, inode);
    this.#sortedNames = undefined;
    const now = systemClock.now();
    this.change({ mtime: now, ctime: now });
  }

  /** The content has changed. */
  noteContent(): void {
    const { content } = this;
    if (!content) return;
    const now = systemClock.now();
    const { size } = content;
    this.change({ size, allocated: size, mtime: now, ctime: now, version: this.#attributes.version + 1 });
  }
}
