/**
 * A file system as a machine sees it that may mount a part of it, or whose users have other numbers: its root is the inode 1, as the
 * kernel wants it, and owners have the numbers that they have on the machine. Of the inode that has the number 1 in the cluster, the
 * root of everything, nothing is to be seen in such a part.
 */
import type { ClusterControl } from '../client/cluster-control.js';
import type { CacheKeeper, Revocation } from '../client/leases/cache-lease.js';
import type { ListedInode } from '../client/namespace/list.js';
import type { Loans } from '../platform/loans.js';
import { DfsError } from '../protocol/errors.js';
import type { Rights } from '../protocol/export-commands.js';
import { isDirectory, ROOT_INODE } from '../protocol/file-mode.js';
import type { Payload } from '../protocol/frame.js';
import type { FileSystemState } from '../protocol/take-over.js';
import type { Attributes, Caller, PrivilegeLoss } from '../protocol/types.js';
import { gidOnClient, uidOnClient } from '../rules/export-identities.js';
import type {
  AttributeChanges,
  Creation,
  DirectoryEntry,
  DirectoryPage,
  FileHandle,
  FileLock,
  FileSystem,
  FileSystemHandOver,
  KeepingLease,
  NamesPage,
  Statfs,
  WriteOptions,
} from './file-system.js';

type Owner = Omit<Creation, 'mode' | 'umask'>;

/**
 * The file system as this machine sees it, of which the rights say how, and from the directory at `path` on, if one is given.
 * ENOENT, ENOTDIR, EACCES for the path.
 * @param takenRoot the root of a mount that an earlier process has served, whatever the path leads to by now
 */
export async function viewOf(
  fileSystem: FileSystem,
  path: readonly Uint8Array[] | undefined,
  takenRoot?: number,
): Promise<FileSystem> {
  const { rights } = fileSystem;
  if (rights) {
    const { uids, gids } = rights;
    const root = takenRoot ?? rights.root;
    const isPlain = root === ROOT_INODE && uids.length === 0 && gids.length === 0;
    // A path that was asked for is where paths begin; otherwise they are those of the cluster.
    return isPlain ? fileSystem : new ExportView(fileSystem, root, path ? [] : rights.path, new Map());
  }
  if (takenRoot === undefined && (!path || path.length === 0)) return fileSystem;
  const inode = takenRoot ?? (await directoryAt(fileSystem, path ?? []));
  return inode === ROOT_INODE ? fileSystem : new ExportView(fileSystem, inode, [], new Map());
}

async function directoryAt(fileSystem: FileSystem, path: readonly Uint8Array[]): Promise<number> {
  const { inode, mode } = await fileSystem.resolve(path);
  if (isDirectory(mode)) return inode;
  throw new DfsError('ENOTDIR', `${pathOf(path)} is not a directory`);
}

function pathOf(names: readonly Uint8Array[]): string {
  return names.map(name => `/${Buffer.from(name).toString()}`).join('');
}

/** keeper → the one that stands in for it below */
type Keepers = Map<CacheKeeper, CacheKeeper>;

class ExportView implements FileSystem {
  readonly #below: FileSystem;
  /** The inode that is 1 here; the one that is 1 below is this one here, and not to be seen. */
  readonly #root: number;
  /** The root's path, with which the paths of `resolve` begin. */
  readonly #path: readonly Uint8Array[];
  readonly #keepers: Keepers;

  constructor(below: FileSystem, root: number, path: readonly Uint8Array[], keepers: Keepers) {
    this.#below = below;
    this.#root = root;
    this.#path = path;
    this.#keepers = keepers;
  }

  get cluster(): ClusterControl {
    return this.#below.cluster;
  }

  get rights(): Rights | undefined {
    return this.#below.rights;
  }

  as(caller: Caller | undefined): FileSystem {
    return new ExportView(this.#below.as(caller), this.#root, this.#path, this.#keepers);
  }

  async keepCaches(keeper: CacheKeeper): Promise<KeepingLease> {
    const standIn: CacheKeeper = {
      drop: async revocation => await keeper.drop(this.#revocation(revocation)),
      dropAll: async () => await keeper.dropAll(),
      dropAttributes: async inode => await keeper.dropAttributes?.(this.#swapped(inode)),
      get usedBytes() {
        return keeper.usedBytes ?? 0;
      },
    };
    this.#keepers.set(keeper, standIn);
    const lease = await this.#below.keepCaches(standIn);
    return {
      nodeBytes: lease.nodeBytes,
      ticket: () => lease.ticket(),
      mayKeepNames: (ticket, directory) => lease.mayKeepNames(ticket, this.#swapped(directory)),
      mayKeepAttributes: (ticket, inode) => lease.mayKeepAttributes(ticket, this.#swapped(inode)),
      mayKeepContent: (ticket, inode, flags) => lease.mayKeepContent(ticket, this.#swapped(inode), flags),
      mayKeepListing: (ticket, directory) => lease.mayKeepListing(ticket, this.#swapped(directory)),
    };
  }

  endCaches(keeper: CacheKeeper): void {
    const standIn = this.#keepers.get(keeper);
    this.#keepers.delete(keeper);
    if (standIn) this.#below.endCaches(standIn);
  }

  async resolve(names: readonly Uint8Array[], from?: number, followLinks?: boolean): Promise<Attributes> {
    const start = this.#swapped(from ?? ROOT_INODE);
    const inside = from === undefined ? this.#inside(names) : names;
    return this.#shown(await this.#below.resolve(inside, start, followLinks));
  }

  async lookup(parent: number, name: Uint8Array): Promise<Attributes> {
    return this.#shown(await this.#below.lookup(this.#swapped(parent), name));
  }

  async getattr(inode: number): Promise<Attributes> {
    return this.#shown(await this.#below.getattr(this.#swapped(inode)));
  }

  async setattr(inode: number, changes: AttributeChanges): Promise<Attributes> {
    return this.#shown(await this.#below.setattr(this.#swapped(inode), changes));
  }

  async readlink(inode: number): Promise<Buffer> {
    return await this.#below.readlink(this.#swapped(inode));
  }

  async mknod(parent: number, name: Uint8Array, creation: Creation, rdev: number): Promise<Attributes> {
    return this.#shown(await this.#below.mknod(this.#swapped(parent), name, creation, rdev));
  }

  async mkdir(parent: number, name: Uint8Array, creation: Creation): Promise<Attributes> {
    return this.#shown(await this.#below.mkdir(this.#swapped(parent), name, creation));
  }

  async symlink(parent: number, name: Uint8Array, target: Uint8Array, owner: Owner): Promise<Attributes> {
    return this.#shown(await this.#below.symlink(this.#swapped(parent), name, target, owner));
  }

  async link(inode: number, parent: number, name: Uint8Array, replace?: boolean): Promise<Attributes> {
    return this.#shown(await this.#below.link(this.#swapped(inode), this.#swapped(parent), name, replace));
  }

  async unlink(parent: number, name: Uint8Array): Promise<void> {
    await this.#below.unlink(this.#swapped(parent), name);
  }

  async rmdir(parent: number, name: Uint8Array): Promise<void> {
    await this.#below.rmdir(this.#swapped(parent), name);
  }

  async rename(
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
    whiteoutOwner?: Owner,
  ): Promise<void> {
    const [from, to] = [this.#swapped(parent), this.#swapped(newParent)];
    await this.#below.rename(from, name, to, newName, flags, whiteoutOwner);
  }

  async create(
    parent: number,
    name: Uint8Array,
    creation: Creation,
    exclusive: boolean,
    openFlags: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const directory = this.#swapped(parent);
    const made = await this.#below.create(directory, name, creation, exclusive, openFlags, privilegeLoss);
    return { ...made, attributes: this.#shown(made.attributes) };
  }

  async tmpfile(
    directory: number,
    creation: Creation,
    openFlags: number,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const made = await this.#below.tmpfile(this.#swapped(directory), creation, openFlags);
    return { ...made, attributes: this.#shown(made.attributes) };
  }

  async open(inode: number, openFlags: number, privilegeLoss?: PrivilegeLoss): Promise<FileHandle> {
    return await this.#below.open(this.#swapped(inode), openFlags, privilegeLoss);
  }

  inodeOf(handle: FileHandle): number {
    return this.#swapped(this.#below.inodeOf(handle));
  }

  async read(handle: FileHandle, offset: number, length: number, loans?: Loans): Promise<Payload> {
    return await this.#below.read(handle, offset, length, loans);
  }

  async seek(handle: FileHandle, offset: number, wanted: 'data' | 'hole'): Promise<number> {
    return await this.#below.seek(handle, offset, wanted);
  }

  async fallocate(
    handle: FileHandle,
    mode: number,
    offset: number,
    length: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<void> {
    await this.#below.fallocate(handle, mode, offset, length, privilegeLoss);
  }

  async copyRange(
    source: FileHandle,
    offset: number,
    target: FileHandle,
    targetOffset: number,
    length: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<number> {
    return await this.#below.copyRange(source, offset, target, targetOffset, length, privilegeLoss);
  }

  async write(handle: FileHandle, offset: number, data: Uint8Array, options?: WriteOptions): Promise<number> {
    return await this.#below.write(handle, offset, data, options);
  }

  async flush(handle: FileHandle, lockOwner?: string): Promise<void> {
    await this.#below.flush(handle, lockOwner);
  }

  async fsync(handle: FileHandle): Promise<void> {
    await this.#below.fsync(handle);
  }

  async release(handle: FileHandle, flockOwner?: string): Promise<void> {
    await this.#below.release(handle, flockOwner);
  }

  async lock(handle: FileHandle, lock: FileLock, wait: boolean, signal?: AbortSignal): Promise<void> {
    await this.#below.lock(handle, lock, wait, signal);
  }

  async unlock(handle: FileHandle, lock: Omit<FileLock, 'type' | 'pid'>): Promise<void> {
    await this.#below.unlock(handle, lock);
  }

  async testLock(handle: FileHandle, lock: FileLock): Promise<FileLock | undefined> {
    return await this.#below.testLock(handle, lock);
  }

  accessed(inode: number): void {
    this.#below.accessed(this.#swapped(inode));
  }

  async syncfs(): Promise<void> {
    await this.#below.syncfs();
  }

  async fsyncDirectory(inode: number): Promise<void> {
    await this.#below.fsyncDirectory(this.#swapped(inode));
  }

  async readdirPage(inode: number, after: Uint8Array, limit?: number): Promise<DirectoryPage> {
    const { entries, parent, isLast } = await this.#below.readdirPage(this.#swapped(inode), after, limit);
    // Above the root there is the root.
    const above = inode === ROOT_INODE ? ROOT_INODE : this.#swapped(parent);
    return { entries: entries.map(entry => this.#entry(entry)), parent: above, isLast };
  }

  async readNames(inode: number, after: Uint8Array): Promise<NamesPage> {
    const page = await this.#below.readNames(this.#swapped(inode), after);
    const { names, parent, isLast } = page;
    const attributesOf = (entry: number): Attributes | undefined => {
      const attributes = page.attributesOf(entry);
      return attributes && this.#shown(attributes);
    };
    // No directory within the root has the root, or what is above it, as an entry: its numbers are the same here.
    const above = inode === ROOT_INODE ? ROOT_INODE : this.#swapped(parent);
    return { names, attributesOf, parent: above, isLast };
  }

  async *readdir(inode: number): AsyncGenerator<DirectoryEntry> {
    for await (const entry of this.#below.readdir(this.#swapped(inode))) yield this.#entry(entry);
  }

  async *list(root: number, recursive: boolean): AsyncGenerator<ListedInode> {
    for await (const { path, attributes } of this.#below.list(this.#swapped(root), recursive))
      yield { path, attributes: this.#shown(attributes) };
  }

  async statfs(): Promise<Statfs> {
    return await this.#below.statfs();
  }

  async getxattr(inode: number, name: Uint8Array): Promise<Buffer> {
    return await this.#below.getxattr(this.#swapped(inode), name);
  }

  async listxattr(inode: number): Promise<Buffer[]> {
    return await this.#below.listxattr(this.#swapped(inode));
  }

  async setxattr(
    inode: number,
    name: Uint8Array,
    value: Uint8Array,
    flags: number,
    stripSetgid?: boolean,
  ): Promise<void> {
    await this.#below.setxattr(this.#swapped(inode), name, value, flags, stripSetgid);
  }

  async removexattr(inode: number, name: Uint8Array): Promise<void> {
    await this.#below.removexattr(this.#swapped(inode), name);
  }

  get handOver(): FileSystemHandOver | undefined {
    const below = this.#below.handOver;
    if (!below) return undefined;
    const suspend = (): FileSystemState | undefined => {
      const state = below.suspend();
      return state && { ...state, root: this.#root };
    };
    return { ...below, suspend };
  }

  async close(): Promise<void> {
    await this.#below.close();
  }

  /** An inode's number below, by its number here, and the other way round. */
  #swapped(inode: number): number {
    if (inode === ROOT_INODE) return this.#root;
    return inode === this.#root ? ROOT_INODE : inode;
  }

  #shown(attributes: Attributes): Attributes {
    const { rights } = this.#below;
    const inode = this.#swapped(attributes.inode);
    if (!rights) return { ...attributes, inode };
    const uid = uidOnClient(rights, attributes.uid);
    return { ...attributes, inode, uid, gid: gidOnClient(rights, attributes.gid) };
  }

  #entry({ name, attributes }: DirectoryEntry): DirectoryEntry {
    return { name, attributes: this.#shown(attributes) };
  }

  /** What is left of a path behind the root's. EACCES when it does not lead there. */
  #inside(names: readonly Uint8Array[]): readonly Uint8Array[] {
    const isBelow = this.#path.every((name, index) => Buffer.compare(name, names[index] ?? NO_NAME) === 0);
    if (isBelow) return names.slice(this.#path.length);
    throw new DfsError('EACCES', `this machine may use ${pathOf(this.#path)}, and what lies below it`);
  }

  #revocation(revocation: Revocation): Revocation {
    const { inodes, names, directories, left, news } = revocation;
    return {
      ...revocation,
      inodes: inodes.map(({ inode, version }) => ({ inode: this.#swapped(inode), version })),
      names: names.map(({ parent, name }) => ({ parent: this.#swapped(parent), name })),
      directories: directories.map(each => this.#swapped(each)),
      ...(left
        ? { left: left.map(({ directory, at }) => ({ directory: this.#swapped(directory), at })) }
        : {}),
      ...(news ? { news: this.#news(news) } : {}),
    };
  }

  #news({ attributes, names }: NonNullable<Revocation['news']>): NonNullable<Revocation['news']> {
    return {
      attributes: attributes.map(each => this.#shown(each)),
      names: names.map(({ parent, name, inode }) => ({
        parent: this.#swapped(parent),
        name,
        inode: this.#swapped(inode),
      })),
    };
  }
}

const NO_NAME = new Uint8Array();
