/**
 * The null file system: what DFS would be if servers and network cost nothing. It keeps everything in memory and answers
 * as a real one does, as far as programs ask; what none of the workloads does (locks, setgid, ACLs) it refuses.
 */
import { constants } from 'node:fs';
import { systemClock } from '../../../src/platform/clock.js';
import { DfsError, type ErrnoName } from '../../../src/protocol/errors.js';
import { PERMISSION_BITS, ROOT_INODE, S_IFDIR, S_IFLNK, S_IFREG } from '../../../src/protocol/file-mode.js';
import type { Payload } from '../../../src/protocol/frame.js';
import { RenameFlag, XattrFlag } from '../../../src/protocol/metadata-commands.js';
import type { Attributes, TimeOrNow } from '../../../src/protocol/types.js';
import type {
  AttributeChanges,
  Creation,
  DirectoryEntry,
  DirectoryPage,
  FileHandle,
  FileLock,
  FileSystem,
  KeepingLease,
  ListedFile,
  Statfs,
  WriteOptions,
} from '../../../src/vfs/file-system.js';
import { MemoryInode, type MemoryInodeOptions } from './memory-inode.js';

const MAX_NAME_BYTES = 255;
const PAGE_ENTRIES = 1000;
const TOTAL_BYTES = 2 ** 40;
const DIRECTORY_LINKS = 2;
const S_ISGID = 0o2000;
const LINK_MODE = 0o777;

/** Nobody else changes anything, so everything may be kept for ever. */
const LEASE: KeepingLease = {
  ticket: () => 0,
  mayKeepNames: () => true,
  mayKeepAttributes: () => true,
  mayKeepContent: () => true,
};

interface OpenFile {
  readonly inode: MemoryInode;
  readonly isAppending: boolean;
}

function refusal(code: ErrnoName, what: string): DfsError {
  return new DfsError(code, `the null file system: ${what}`);
}

function keyOf(name: Uint8Array): string {
  if (name.length > MAX_NAME_BYTES) throw refusal('ENAMETOOLONG', 'a name has at most 255 bytes');
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1');
}

function timeOf(time: TimeOrNow): Attributes['mtime'] {
  return time === 'now' ? systemClock.now() : time;
}

export class MemoryFileSystem implements FileSystem {
  /** inode → what is there */
  readonly #inodes = new Map<number, MemoryInode>();
  /** handle → the open file */
  readonly #handles = new Map<FileHandle, OpenFile>();
  #lastInode = ROOT_INODE;
  #lastHandle = 0;

  constructor() {
    const mode = S_IFDIR | 0o755;
    const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
    this.#add({ inode: ROOT_INODE, mode, uid, gid, nlink: DIRECTORY_LINKS, parent: ROOT_INODE });
  }

  get cluster(): never {
    throw refusal('ENOSYS', 'there is no cluster');
  }

  as(): FileSystem {
    return this;
  }

  async keepCaches(): Promise<KeepingLease> {
    return LEASE;
  }

  endCaches(): void {
    // It had nothing to tell.
  }

  async resolve(): Promise<Attributes> {
    throw refusal('ENOSYS', 'the kernel walks paths itself');
  }

  async lookup(parent: number, name: Uint8Array): Promise<Attributes> {
    return this.#named(this.#directory(parent), keyOf(name)).attributes;
  }

  async getattr(inode: number): Promise<Attributes> {
    return this.#inode(inode).attributes;
  }

  async setattr(number: number, changes: AttributeChanges): Promise<Attributes> {
    const inode = this.#inode(number);
    const { mode, uid, gid, size, atime, mtime } = changes;
    if (size !== undefined) {
      if (!inode.content) throw refusal('EINVAL', 'only a file has a size');
      inode.content.resize(size);
      inode.noteContent();
    }
    const type = inode.attributes.mode & ~PERMISSION_BITS;
    inode.change({
      ...(mode === undefined ? {} : { mode: type | mode }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      ...(atime === undefined ? {} : { atime: timeOf(atime) }),
      ...(mtime === undefined ? {} : { mtime: timeOf(mtime) }),
    });
    return inode.attributes;
  }

  async readlink(inode: number): Promise<Buffer> {
    const { target } = this.#inode(inode);
    if (!target) throw refusal('EINVAL', 'that is no symbolic link');
    return target;
  }

  async mknod(parent: number, name: Uint8Array, creation: Creation, rdev: number): Promise<Attributes> {
    return this.#make(parent, name, creation, { rdev }).attributes;
  }

  async mkdir(parent: number, name: Uint8Array, creation: Creation): Promise<Attributes> {
    const above = this.#directory(parent);
    const mode = S_IFDIR | creation.mode | (above.attributes.mode & S_ISGID);
    const made = this.#make(parent, name, { ...creation, mode }, { nlink: DIRECTORY_LINKS, parent });
    above.change({ nlink: above.attributes.nlink + 1 });
    return made.attributes;
  }

  async symlink(
    parent: number,
    name: Uint8Array,
    target: Uint8Array,
    owner: Omit<Creation, 'mode' | 'umask'>,
  ): Promise<Attributes> {
    const creation = { ...owner, mode: S_IFLNK | LINK_MODE };
    return this.#make(parent, name, creation, { target: Buffer.from(target) }).attributes;
  }

  async link(number: number, parent: number, name: Uint8Array): Promise<Attributes> {
    const inode = this.#inode(number);
    const [directory, key] = this.#free(parent, name);
    directory.setName(key, number);
    inode.change({ nlink: inode.attributes.nlink + 1 });
    return inode.attributes;
  }

  async unlink(parent: number, name: Uint8Array): Promise<void> {
    const [directory, key] = [this.#directory(parent), keyOf(name)];
    const inode = this.#named(directory, key);
    if (inode.names) throw refusal('EISDIR', 'a directory is removed with rmdir');
    directory.setName(key, undefined);
    this.#dropLink(inode);
  }

  async rmdir(parent: number, name: Uint8Array): Promise<void> {
    const [directory, key] = [this.#directory(parent), keyOf(name)];
    const inode = this.#named(directory, key);
    this.#checkEmptyDirectory(inode);
    directory.setName(key, undefined);
    this.#dropDirectory(inode, directory);
  }

  async rename(
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
  ): Promise<void> {
    const [from, to] = [this.#directory(parent), this.#directory(newParent)];
    const [key, newKey] = [keyOf(name), keyOf(newName)];
    const inode = this.#named(from, key);
    const replaced = this.#inodes.get(to.names?.get(newKey) ?? 0);
    if (replaced === inode) return;
    if ((flags & ~RenameFlag.noreplace) !== 0) throw refusal('EINVAL', 'names are not exchanged');
    if (replaced) {
      if (flags === RenameFlag.noreplace) throw refusal('EEXIST', 'the name is taken');
      if (inode.names) this.#checkEmptyDirectory(replaced);
      else if (replaced.names) throw refusal('EISDIR', 'a file does not replace a directory');
    }
    from.setName(key, undefined);
    to.setName(newKey, inode.number);
    if (replaced?.names) this.#dropDirectory(replaced, to);
    else if (replaced) this.#dropLink(replaced);
    if (inode.names && from !== to) {
      inode.parent = to.number;
      from.change({ nlink: from.attributes.nlink - 1 });
      to.change({ nlink: to.attributes.nlink + 1 });
    }
    inode.change({});
  }

  async create(
    parent: number,
    name: Uint8Array,
    creation: Creation,
    exclusive: boolean,
    openFlags: number,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const there = this.#directory(parent).names?.get(keyOf(name));
    if (there !== undefined) {
      if (exclusive) throw refusal('EEXIST', 'the name is taken');
      const handle = await this.open(there, openFlags);
      return { handle, attributes: this.#inode(there).attributes };
    }
    const inode = this.#make(parent, name, { ...creation, mode: S_IFREG | creation.mode });
    return { handle: this.#open(inode, openFlags), attributes: inode.attributes };
  }

  async tmpfile(
    _directory: number,
    creation: Creation,
    openFlags: number,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const { uid, gid, mode, umask = 0 } = creation;
    const inode = this.#add({
      inode: this.#nextInode(),
      mode: S_IFREG | (mode & ~umask),
      uid,
      gid,
      nlink: 0,
    });
    return { handle: this.#open(inode, openFlags), attributes: inode.attributes };
  }

  async open(number: number, openFlags: number): Promise<FileHandle> {
    const inode = this.#inode(number);
    if ((openFlags & constants.O_TRUNC) !== 0 && inode.content) {
      inode.content.resize(0);
      inode.noteContent();
    }
    return this.#open(inode, openFlags);
  }

  inodeOf(handle: FileHandle): number {
    return this.#file(handle).inode.number;
  }

  async read(handle: FileHandle, offset: number, length: number): Promise<Payload> {
    return this.#file(handle).inode.content?.read(offset, length) ?? [];
  }

  async seek(handle: FileHandle, offset: number, wanted: 'data' | 'hole'): Promise<number> {
    const { size } = this.#file(handle).inode.attributes;
    if (offset >= size) throw refusal('ENXIO', 'the file ends before');
    return wanted === 'data' ? offset : size;
  }

  async fallocate(handle: FileHandle, mode: number, offset: number, length: number): Promise<void> {
    if (mode !== 0) throw refusal('EOPNOTSUPP', 'there are no holes');
    const { inode } = this.#file(handle);
    inode.content?.resize(Math.max(inode.content.size, offset + length));
    inode.noteContent();
  }

  async copyRange(
    source: FileHandle,
    offset: number,
    target: FileHandle,
    targetOffset: number,
    length: number,
  ): Promise<number> {
    let copied = 0;
    for (const piece of await this.read(source, offset, length)) {
      copied += await this.write(target, targetOffset + copied, piece, { isAppend: false });
    }
    return copied;
  }

  async write(
    handle: FileHandle,
    offset: number,
    data: Uint8Array,
    options: WriteOptions = {},
  ): Promise<number> {
    const { inode, isAppending } = this.#file(handle);
    const isAtEnd = options.isAppend ?? isAppending;
    inode.content?.write(isAtEnd ? inode.content.size : offset, data);
    inode.noteContent();
    return data.length;
  }

  async flush(): Promise<void> {
    // It is where it stays.
  }

  async fsync(): Promise<void> {
    // As above.
  }

  async syncfs(): Promise<void> {
    // As above.
  }

  async fsyncDirectory(): Promise<void> {
    // As above.
  }

  async release(handle: FileHandle): Promise<void> {
    const { inode } = this.#file(handle);
    this.#handles.delete(handle);
    inode.handles -= 1;
    this.#forgetUnused(inode);
  }

  async lock(): Promise<void> {
    throw refusal('EOPNOTSUPP', 'there are no locks');
  }

  async unlock(): Promise<void> {
    throw refusal('EOPNOTSUPP', 'there are no locks');
  }

  async testLock(): Promise<FileLock | undefined> {
    return undefined;
  }

  async readdirPage(number: number, after: Uint8Array, limit = PAGE_ENTRIES): Promise<DirectoryPage> {
    const directory = this.#directory(number);
    const names = directory.sortedNames;
    const start = after.length === 0 ? 0 : firstAfter(names, keyOf(after));
    const page = names.slice(start, start + Math.min(limit, PAGE_ENTRIES));
    const entries = page.map(key => ({
      name: Buffer.from(key, 'latin1'),
      attributes: this.#named(directory, key).attributes,
    }));
    return { entries, parent: directory.parent, isLast: start + page.length >= names.length };
  }

  readdir(): AsyncIterable<DirectoryEntry> {
    throw refusal('ENOSYS', 'the kernel reads directories by pages');
  }

  list(): AsyncIterable<ListedFile> {
    throw refusal('ENOSYS', 'the kernel lists nothing');
  }

  async statfs(): Promise<Statfs> {
    return { totalBytes: TOTAL_BYTES, freeBytes: TOTAL_BYTES, inodes: this.#inodes.size, liveNodes: 1 };
  }

  async getxattr(inode: number, name: Uint8Array): Promise<Buffer> {
    const value = this.#inode(inode).xattrs.get(keyOf(name));
    if (!value) throw refusal('ENODATA', 'there is no such attribute');
    return value;
  }

  async listxattr(inode: number): Promise<Buffer[]> {
    return [...this.#inode(inode).xattrs.keys()].map(key => Buffer.from(key, 'latin1'));
  }

  async setxattr(number: number, name: Uint8Array, value: Uint8Array, flags: number): Promise<void> {
    const { xattrs } = this.#inode(number);
    const key = keyOf(name);
    if (flags === XattrFlag.create && xattrs.has(key)) throw refusal('EEXIST', 'the attribute is there');
    if (flags === XattrFlag.replace && !xattrs.has(key)) throw refusal('ENODATA', 'no such attribute');
    xattrs.set(key, Buffer.from(value));
  }

  async removexattr(number: number, name: Uint8Array): Promise<void> {
    if (!this.#inode(number).xattrs.delete(keyOf(name))) throw refusal('ENODATA', 'no such attribute');
  }

  async close(): Promise<void> {
    this.#inodes.clear();
    this.#handles.clear();
  }

  #inode(number: number): MemoryInode {
    const inode = this.#inodes.get(number);
    if (!inode) throw refusal('ENOENT', 'there is no such inode');
    return inode;
  }

  #directory(number: number): MemoryInode {
    const inode = this.#inode(number);
    if (!inode.names) throw refusal('ENOTDIR', 'that is no directory');
    return inode;
  }

  #named(directory: MemoryInode, key: string): MemoryInode {
    const number = directory.names?.get(key);
    if (number === undefined) throw refusal('ENOENT', 'there is no such name');
    return this.#inode(number);
  }

  /** The directory and the key of a name that is not taken in it. */
  #free(parent: number, name: Uint8Array): [MemoryInode, string] {
    const [directory, key] = [this.#directory(parent), keyOf(name)];
    if (directory.names?.has(key)) throw refusal('EEXIST', 'the name is taken');
    return [directory, key];
  }

  #nextInode(): number {
    this.#lastInode += 1;
    return this.#lastInode;
  }

  #add(options: MemoryInodeOptions): MemoryInode {
    const inode = new MemoryInode(options);
    this.#inodes.set(inode.number, inode);
    return inode;
  }

  #make(
    parent: number,
    name: Uint8Array,
    { mode, umask = 0, uid, gid }: Creation,
    more: Partial<MemoryInodeOptions> = {},
  ): MemoryInode {
    const [directory, key] = this.#free(parent, name);
    const above = directory.attributes;
    const group = (above.mode & S_ISGID) === 0 ? gid : above.gid;
    const given = mode & ~(umask & PERMISSION_BITS);
    const inode = this.#add({
      inode: this.#nextInode(),
      mode: given,
      uid,
      gid: group,
      nlink: 1,
      ...more,
    });
    directory.setName(key, inode.number);
    return inode;
  }

  #open(inode: MemoryInode, openFlags: number): FileHandle {
    this.#lastHandle += 1;
    inode.handles += 1;
    this.#handles.set(this.#lastHandle, { inode, isAppending: (openFlags & constants.O_APPEND) !== 0 });
    return this.#lastHandle;
  }

  #file(handle: FileHandle): OpenFile {
    const file = this.#handles.get(handle);
    if (!file) throw refusal('EBADF', 'there is no such handle');
    return file;
  }

  #checkEmptyDirectory(inode: MemoryInode): void {
    if (!inode.names) throw refusal('ENOTDIR', 'that is no directory');
    if (inode.names.size > 0) throw refusal('ENOTEMPTY', 'the directory is not empty');
  }

  #dropDirectory(inode: MemoryInode, above: MemoryInode): void {
    above.change({ nlink: above.attributes.nlink - 1 });
    this.#inodes.delete(inode.number);
  }

  #dropLink(inode: MemoryInode): void {
    inode.change({ nlink: inode.attributes.nlink - 1 });
    this.#forgetUnused(inode);
  }

  #forgetUnused(inode: MemoryInode): void {
    if (inode.attributes.nlink === 0 && inode.handles === 0) this.#inodes.delete(inode.number);
  }
}

/** The index of the first name behind `key`. */
function firstAfter(names: readonly string[], key: string): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((names[middle] ?? '') <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}
