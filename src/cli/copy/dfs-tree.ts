/** The files in a DFS, as a copy sees them. */
import { constants } from 'node:fs';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { isDirectory, isRegularFile, isSymlink, PERMISSION_BITS } from '../../protocol/file-mode.js';
import type { Payload } from '../../protocol/frame.js';
import { RenameFlag } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { FileSystem } from '../../vfs/file-system.js';
import type { Child, Entry, Kept, Reader, Tree, Writer } from './tree.js';

const READ_BYTES = 1 << 20;
const SLASH = Buffer.from('/');

/** A name in a directory; the root is the only place without one. */
export interface DfsPlace {
  /** The names that lead there. */
  readonly path: readonly Buffer[];
  /** The directory that has it, asked for when it is needed: a directory may be made after its entries are named. */
  readonly directory?: DfsPlace | undefined;
  /** The inode there, when it is known. */
  inode?: number;
}

export class DfsTree implements Tree<DfsPlace> {
  readonly #fileSystem: FileSystem;
  /** What people see before a path. */
  readonly #prefix: string;
  readonly #owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

  constructor(fileSystem: FileSystem, prefix: string) {
    this.#fileSystem = fileSystem;
    this.#prefix = prefix;
  }

  /** The place at the end of a path from the root. */
  placeAt(path: readonly Buffer[]): DfsPlace {
    let place: DfsPlace = { path: [] };
    for (const [index] of path.entries()) place = { path: path.slice(0, index + 1), directory: place };
    return place;
  }

  describe(place: DfsPlace): string {
    const path = Buffer.concat(place.path.flatMap(name => [SLASH, name])).toString('utf8');
    return `${this.#prefix}${path === '' ? '/' : path}`;
  }

  async stat(place: DfsPlace, isFollowing: boolean): Promise<Entry | undefined> {
    try {
      const attributes = await this.#attributes(place, isFollowing);
      place.inode = attributes.inode;
      return entryOf(attributes);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw this.#explain(error, place);
    }
  }

  async *children(place: DfsPlace): AsyncGenerator<Child<DfsPlace>> {
    for await (const { name, attributes } of this.#fileSystem.readdir(await this.#inodeOf(place))) {
      const child = { ...this.child(place, name), inode: attributes.inode };
      yield { name, place: child, entry: entryOf(attributes) };
    }
  }

  async openReader(place: DfsPlace): Promise<Reader> {
    const handle = await this.#fileSystem.open(await this.#inodeOf(place), constants.O_RDONLY);
    return new DfsReader(this.#fileSystem, handle);
  }

  async readSymlink(place: DfsPlace): Promise<Buffer> {
    return await this.#fileSystem.readlink(await this.#inodeOf(place));
  }

  child(directory: DfsPlace, name: Buffer): DfsPlace {
    return { path: [...directory.path, name], directory };
  }

  sibling(place: DfsPlace, name: Buffer): DfsPlace {
    const { directory } = this.#entryPlace(place);
    return this.child(directory, name);
  }

  nameOf(place: DfsPlace): Buffer {
    return place.path.at(-1) ?? Buffer.alloc(0);
  }

  async createWriter(place: DfsPlace, permissions: number): Promise<Writer> {
    const { directory, name } = this.#entryPlace(place);
    const creation = { mode: permissions, ...this.#owner };
    const parent = await this.#inodeOf(directory);
    try {
      const created = await this.#fileSystem.create(parent, name, creation, true, constants.O_WRONLY);
      place.inode = created.attributes.inode;
      return new DfsWriter(this.#fileSystem, created.handle);
    } catch (error) {
      throw this.#explain(error, place);
    }
  }

  async makeDirectory(place: DfsPlace, permissions: number): Promise<void> {
    const { directory, name } = this.#entryPlace(place);
    const creation = { mode: permissions, ...this.#owner };
    try {
      const made = await this.#fileSystem.mkdir(await this.#inodeOf(directory), name, creation);
      place.inode = made.inode;
    } catch (error) {
      throw this.#explain(error, place);
    }
  }

  async makeSymlink(place: DfsPlace, target: Buffer): Promise<void> {
    const { directory, name } = this.#entryPlace(place);
    const made = await this.#fileSystem.symlink(await this.#inodeOf(directory), name, target, this.#owner);
    place.inode = made.inode;
  }

  async setAttributes(place: DfsPlace, kind: Entry['kind'], kept: Kept): Promise<void> {
    // It was made with its permissions; they are given again because a new owner takes setuid and setgid away.
    if (!kept.owner && !kept.times) return;
    const inode = await this.#inodeOf(place);
    if (kept.owner) await this.#fileSystem.setattr(inode, kept.owner);
    await this.#fileSystem.setattr(inode, {
      ...(kind === 'symlink' ? {} : { mode: kept.permissions }),
      ...kept.times,
    });
  }

  async rename(from: DfsPlace, to: DfsPlace, isReplacing: boolean): Promise<void> {
    const source = this.#entryPlace(from);
    const target = this.#entryPlace(to);
    const parent = await this.#inodeOf(source.directory);
    const flags = isReplacing ? 0 : RenameFlag.noreplace;
    try {
      await this.#fileSystem.rename(parent, source.name, parent, target.name, flags);
    } catch (error) {
      throw this.#explain(error, to);
    }
  }

  async remove(place: DfsPlace): Promise<void> {
    const { directory, name } = this.#entryPlace(place);
    try {
      const parent = await this.#inodeOf(directory);
      const attributes = await this.#fileSystem.lookup(parent, name);
      if (!isDirectory(attributes.mode)) {
        await this.#fileSystem.unlink(parent, name);
        return;
      }
      place.inode = attributes.inode;
      // Removing while listing is safe: a page goes on after the last name, whether or not that still exists.
      for await (const child of this.children(place)) await this.remove(child.place);
      await this.#fileSystem.rmdir(parent, name);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  }

  async #attributes(place: DfsPlace, isFollowing: boolean): Promise<Attributes> {
    if (place.inode !== undefined && !isFollowing) return await this.#fileSystem.getattr(place.inode);
    return await this.#fileSystem.resolve(place.path, undefined, isFollowing);
  }

  async #inodeOf(place: DfsPlace): Promise<number> {
    if (place.inode === undefined) {
      // What the user typed may lead through symbolic links.
      const attributes = await this.#fileSystem.resolve(place.path, undefined, true);
      place.inode = attributes.inode;
    }
    return place.inode;
  }

  #entryPlace(place: DfsPlace): { directory: DfsPlace; name: Buffer } {
    const name = place.path.at(-1);
    if (!place.directory || !name) throw new DfsError('EBUSY', 'the root of the DFS stays where it is');
    return { directory: place.directory, name };
  }

  #explain(error: unknown, place: DfsPlace): unknown {
    const path = this.describe(place);
    if (hasCode(error, 'EEXIST')) return new DfsError('EEXIST', `${path} exists already`);
    if (hasCode(error, 'ENOENT')) return new DfsError('ENOENT', `there is no ${path}`);
    if (hasCode(error, 'ENOTDIR')) {
      return new DfsError('ENOTDIR', `a name in the middle of ${path} is no directory`);
    }
    return error;
  }
}

class DfsReader implements Reader {
  readonly #fileSystem: FileSystem;
  readonly #handle: number;
  #offset = 0;

  constructor(fileSystem: FileSystem, handle: number) {
    this.#fileSystem = fileSystem;
    this.#handle = handle;
  }

  async read(): Promise<Payload | undefined> {
    const payload = await this.#fileSystem.read(this.#handle, this.#offset, READ_BYTES);
    const bytes = payload.reduce((sum, piece) => sum + piece.length, 0);
    this.#offset += bytes;
    return bytes === 0 ? undefined : payload;
  }

  async close(): Promise<void> {
    await this.#fileSystem.release(this.#handle);
  }
}

class DfsWriter implements Writer {
  readonly #fileSystem: FileSystem;
  readonly #handle: number;
  #offset = 0;
  /** Where the last byte written ends. */
  #end = 0;

  constructor(fileSystem: FileSystem, handle: number) {
    this.#fileSystem = fileSystem;
    this.#handle = handle;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#fileSystem.write(this.#handle, this.#offset, bytes);
    this.#offset += bytes.length;
    this.#end = this.#offset;
  }

  skip(bytes: number): void {
    this.#offset += bytes;
  }

  async finish(isDurable: boolean): Promise<void> {
    if (this.#offset > this.#end) {
      await this.#fileSystem.setattr(this.#fileSystem.inodeOf(this.#handle), { size: this.#offset });
    }
    if (isDurable) await this.#fileSystem.fsync(this.#handle);
    else await this.#fileSystem.flush(this.#handle);
    await this.#fileSystem.release(this.#handle);
  }

  async abandon(): Promise<void> {
    // It may be released already, and nobody needs it any more.
    await this.#fileSystem.release(this.#handle).catch(() => undefined);
  }
}

function entryOf(attributes: Attributes): Entry {
  const { mode, uid, gid, size, allocated, atime, mtime } = attributes;
  return {
    kind: kindOf(mode),
    permissions: mode & PERMISSION_BITS,
    uid,
    gid,
    sizeBytes: size,
    isSparse: allocated < size,
    atime,
    mtime,
  };
}

function kindOf(mode: number): Entry['kind'] {
  if (isRegularFile(mode)) return 'file';
  if (isDirectory(mode)) return 'directory';
  return isSymlink(mode) ? 'symlink' : 'other';
}
