/** The inodes of the null file system, and the names under which they are found. */
import { DfsError, type ErrnoName } from '../../../src/protocol/errors.js';
import { PERMISSION_BITS, ROOT_INODE, S_IFDIR, S_ISGID } from '../../../src/protocol/file-mode.js';
import type { Creation } from '../../../src/vfs/file-system.js';
import { MemoryInode, type MemoryInodeOptions } from './memory-inode.js';

const MAX_NAME_BYTES = 255;
/** Its name in the directory above, and `.` in itself. */
export const DIRECTORY_LINKS = 2;

/** An error of the null file system. */
export function refusal(code: ErrnoName, what: string): DfsError {
  return new DfsError(code, `the null file system: ${what}`);
}

/** A name as it is in the maps. */
export function keyOf(name: Uint8Array): string {
  if (name.length > MAX_NAME_BYTES) throw refusal('ENAMETOOLONG', 'a name has at most 255 bytes');
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1');
}

export class MemoryTree {
  /** inode → what is there */
  readonly #inodes = new Map<number, MemoryInode>();
  #nextInode = ROOT_INODE;

  /** With a root directory that belongs to whoever runs this. */
  constructor() {
    const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
    this.add({ mode: S_IFDIR | 0o755, uid, gid, nlink: DIRECTORY_LINKS, parent: ROOT_INODE });
  }

  get size(): number {
    return this.#inodes.size;
  }

  clear(): void {
    this.#inodes.clear();
  }

  find(number: number): MemoryInode | undefined {
    return this.#inodes.get(number);
  }

  /** ENOENT. */
  inode(number: number): MemoryInode {
    const inode = this.#inodes.get(number);
    if (!inode) throw refusal('ENOENT', 'there is no such inode');
    return inode;
  }

  /** ENOENT, ENOTDIR. */
  directory(number: number): MemoryInode {
    const inode = this.inode(number);
    if (!inode.names) throw refusal('ENOTDIR', 'that is no directory');
    return inode;
  }

  /** ENOENT. */
  named(directory: MemoryInode, key: string): MemoryInode {
    const number = directory.names?.get(key);
    if (number === undefined) throw refusal('ENOENT', 'there is no such name');
    return this.inode(number);
  }

  /** The directory and the key of a name that is not taken in it. */
  free(parent: number, name: Uint8Array): [MemoryInode, string] {
    const [directory, key] = [this.directory(parent), keyOf(name)];
    if (directory.names?.has(key)) throw refusal('EEXIST', 'the name is taken');
    return [directory, key];
  }

  /** Under no name yet. */
  add(options: Omit<MemoryInodeOptions, 'inode'>): MemoryInode {
    const inode = new MemoryInode({ ...options, inode: this.#nextInode });
    this.#nextInode += 1;
    this.#inodes.set(inode.number, inode);
    return inode;
  }

  /** Under a name, as the directory and the creator have it. EEXIST. */
  make(
    parent: number,
    name: Uint8Array,
    { mode, umask = 0, uid, gid }: Creation,
    more: Partial<Omit<MemoryInodeOptions, 'inode'>> = {},
  ): MemoryInode {
    const [directory, key] = this.free(parent, name);
    const above = directory.attributes;
    const group = (above.mode & S_ISGID) === 0 ? gid : above.gid;
    const given = mode & ~(umask & PERMISSION_BITS);
    const inode = this.add({
      mode: given,
      uid,
      gid: group,
      nlink: 1,
      ...more,
    });
    directory.setName(key, inode.number);
    return inode;
  }

  /** ENOTDIR, ENOTEMPTY. */
  checkEmptyDirectory(inode: MemoryInode): void {
    if (!inode.names) throw refusal('ENOTDIR', 'that is no directory');
    if (inode.names.size > 0) throw refusal('ENOTEMPTY', 'the directory is not empty');
  }

  /** Its name is gone from the directory above. */
  dropDirectory(inode: MemoryInode, above: MemoryInode): void {
    above.change({ nlink: above.attributes.nlink - 1 });
    this.#inodes.delete(inode.number);
  }

  /** One of its names is gone. */
  dropLink(inode: MemoryInode): void {
    inode.change({ nlink: inode.attributes.nlink - 1 });
    this.forgetUnused(inode);
  }

  /** Without names and handles nobody can find it any more. */
  forgetUnused(inode: MemoryInode): void {
    if (inode.attributes.nlink === 0 && inode.handles === 0) this.#inodes.delete(inode.number);
  }
}
