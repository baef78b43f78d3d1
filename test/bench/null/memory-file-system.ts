/**
 * The null file system: what DFS would be if servers and network cost nothing. It keeps everything in memory and answers
 * as a real one does, as far as programs ask; what none of the workloads does (locks, holes, ACLs) it refuses.
 */
import { constants } from 'node:fs';
import { systemClock } from '../../../src/platform/clock.js';
import { PERMISSION_BITS, S_IFDIR, S_IFLNK, S_IFREG, S_ISGID } from '../../../src/protocol/file-mode.js';
import type { ListedInode } from '../../../src/client/namespace/list.js';
import type { Payload } from '../../../src/protocol/frame.js';
import { RenameFlag, XattrFlag } from '../../../src/protocol/namespace-commands.js';
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
  NamesPage,
  Statfs,
  WriteOptions,
} from '../../../src/vfs/file-system.js';
import { namesPageOf } from '../../../src/vfs/names-page.js';
import type { MemoryInode } from './memory-inode.js';
import { DIRECTORY_LINKS, keyOf, MemoryTree, refusal } from './memory-tree.js';

const PAGE_ENTRIES = 1000;
const TOTAL_BYTES = 2 ** 40;
const LINK_MODE = 0o777;

/** Nobody else changes anything, so everything may be kept for ever. */
const LEASE: KeepingLease = {
  nodeBytes: 16 << 20,
  ticket: () => 0,
  mayKeepNames: () => true,
  mayKeepAttributes: () => true,
  mayKeepContent: () => true,
  mayKeepListing: () => true,
};

interface OpenFile {
  readonly inode: MemoryInode;
  readonly isAppending: boolean;
}

function timeOf(time: TimeOrNow): Attributes['mtime'] {
  return time === 'now' ? systemClock.now() : time;
}

export class MemoryFileSystem implements FileSystem {
  readonly #tree = new MemoryTree();
  /** handle → the open file */
  readonly #handles = new Map<FileHandle, OpenFile>();
  #lastHandle = 0;

  get cluster(): never {
    throw refusal('ENOSYS', 'there is no cluster');
  }

  get rights(): undefined {
    return undefined;
  }

  as(): FileSystem {
    return this;
  }

  async keepCaches(): Promise<KeepingLease> {
    return LEASE;
  }

  accessed(): void {
    // Reading moves no access times.
  }

  endCaches(): void {
    // It had nothing to tell.
  }

  async resolve(): Promise<Attributes> {
    throw refusal('ENOSYS', 'the kernel walks paths itself');
  }

  async lookup(parent: number, name: Uint8Array): Promise<Attributes> {
    return this.#tree.named(this.#tree.directory(parent), keyOf(name)).attributes;
  }

  async getattr(inode: number): Promise<Attributes> {
    return this.#tree.inode(inode).attributes;
  }

  async setattr(number: number, changes: AttributeChanges): Promise<Attributes> {
    const inode = this.#tree.inode(number);
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
    const { target } = this.#tree.inode(inode);
    if (!target) throw refusal('EINVAL', 'that is no symbolic link');
    return target;
  }

  async mknod(parent: number, name: Uint8Array, creation: Creation, rdev: number): Promise<Attributes> {
    return this.#tree.make(parent, name, creation, { rdev }).attributes;
  }

  async mkdir(parent: number, name: Uint8Array, creation: Creation): Promise<Attributes> {
    const above = this.#tree.directory(parent);
    const mode = S_IFDIR | creation.mode | (above.attributes.mode & S_ISGID);
    const made = this.#tree.make(parent, name, { ...creation, mode }, { nlink: DIRECTORY_LINKS, parent });
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
    return this.#tree.make(parent, name, creation, { target: Buffer.from(target) }).attributes;
  }

  async link(number: number, parent: number, name: Uint8Array): Promise<Attributes> {
    const inode = this.#tree.inode(number);
    const [directory, key] = this.#tree.free(parent, name);
    directory.setName(key, number);
    inode.change({ nlink: inode.attributes.nlink + 1 });
    return inode.attributes;
  }

  async unlink(parent: number, name: Uint8Array): Promise<void> {
    const [directory, key] = [this.#tree.directory(parent), keyOf(name)];
    const inode = this.#tree.named(directory, key);
    if (inode.names) throw refusal('EISDIR', 'a directory is removed with rmdir');
    directory.setName(key, undefined);
    this.#tree.dropLink(inode);
  }

  async rmdir(parent: number, name: Uint8Array): Promise<void> {
    const [directory, key] = [this.#tree.directory(parent), keyOf(name)];
    const inode = this.#tree.named(directory, key);
    this.#tree.checkEmptyDirectory(inode);
    directory.setName(key, undefined);
    this.#tree.dropDirectory(inode, directory);
  }

  async rename(
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
  ): Promise<void> {
    const [from, to] = [this.#tree.directory(parent), this.#tree.directory(newParent)];
    const [key, newKey] = [keyOf(name), keyOf(newName)];
    const inode = this.#tree.named(from, key);
    const replaced = this.#tree.find(to.names?.get(newKey) ?? 0);
    if (replaced === inode) return;
    if ((flags & ~RenameFlag.noreplace) !== 0) throw refusal('EINVAL', 'names are not exchanged');
    if (replaced) {
      if (flags === RenameFlag.noreplace) throw refusal('EEXIST', 'the name is taken');
      if (inode.names) this.#tree.checkEmptyDirectory(replaced);
      else if (replaced.names) throw refusal('EISDIR', 'a file does not replace a directory');
    }
    from.setName(key, undefined);
    to.setName(newKey, inode.number);
    if (replaced?.names) this.#tree.dropDirectory(replaced, to);
    else if (replaced) this.#tree.dropLink(replaced);
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
    const there = this.#tree.directory(parent).names?.get(keyOf(name));
    if (there !== undefined) {
      if (exclusive) throw refusal('EEXIST', 'the name is taken');
      const handle = await this.open(there, openFlags);
      return { handle, attributes: this.#tree.inode(there).attributes };
    }
    const inode = this.#tree.make(parent, name, { ...creation, mode: S_IFREG | creation.mode });
    return { handle: this.#open(inode, openFlags), attributes: inode.attributes };
  }

  async tmpfile(
    _directory: number,
    creation: Creation,
    openFlags: number,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const { uid, gid, mode, umask = 0 } = creation;
    const inode = this.#tree.add({ mode: S_IFREG | (mode & ~umask), uid, gid, nlink: 0 });
    return { handle: this.#open(inode, openFlags), attributes: inode.attributes };
  }

  async open(number: number, openFlags: number): Promise<FileHandle> {
    const inode = this.#tree.inode(number);
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
    this.#tree.forgetUnused(inode);
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
    const directory = this.#tree.directory(number);
    const names = directory.sortedNames;
    const start = after.length === 0 ? 0 : firstAfter(names, keyOf(after));
    const page = names.slice(start, start + Math.min(limit, PAGE_ENTRIES));
    const entries = page.map(key => ({
      name: Buffer.from(key, 'latin1'),
      attributes: this.#tree.named(directory, key).attributes,
    }));
    return { entries, parent: directory.parent, isLast: start + page.length >= names.length };
  }

  async readNames(number: number, after: Uint8Array): Promise<NamesPage> {
    return namesPageOf(await this.readdirPage(number, after));
  }

  readdir(): AsyncIterable<DirectoryEntry> {
    throw refusal('ENOSYS', 'the kernel reads directories by pages');
  }

  list(): AsyncIterable<ListedInode> {
    throw refusal('ENOSYS', 'the kernel lists nothing');
  }

  async statfs(): Promise<Statfs> {
    return { totalBytes: TOTAL_BYTES, freeBytes: TOTAL_BYTES, inodes: this.#tree.size, liveNodes: 1 };
  }

  async getxattr(inode: number, name: Uint8Array): Promise<Buffer> {
    const value = this.#tree.inode(inode).xattrs.get(keyOf(name));
    if (!value) throw refusal('ENODATA', 'there is no such attribute');
    return value;
  }

  async listxattr(inode: number): Promise<Buffer[]> {
    return [...this.#tree.inode(inode).xattrs.keys()].map(key => Buffer.from(key, 'latin1'));
  }

  async setxattr(number: number, name: Uint8Array, value: Uint8Array, flags: number): Promise<void> {
    const { xattrs } = this.#tree.inode(number);
    const key = keyOf(name);
    if (flags === XattrFlag.create && xattrs.has(key)) throw refusal('EEXIST', 'the attribute is there');
    if (flags === XattrFlag.replace && !xattrs.has(key)) throw refusal('ENODATA', 'no such attribute');
    xattrs.set(key, Buffer.from(value));
  }

  async removexattr(number: number, name: Uint8Array): Promise<void> {
    if (!this.#tree.inode(number).xattrs.delete(keyOf(name))) throw refusal('ENODATA', 'no such attribute');
  }

  async close(): Promise<void> {
    this.#tree.clear();
    this.#handles.clear();
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
