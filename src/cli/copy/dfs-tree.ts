/** The files in a DFS, as a copy sees them. */
import { constants } from 'node:fs';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { isDirectory, isRegularFile } from '../../protocol/file-mode.js';
import { MAX_FILE_BYTES } from '../../protocol/limits.js';
import { RenameFlag } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { FileHandle, FileSystem } from '../../vfs/file-system.js';
import { aboutPath, inTermsOfPath } from '../dfs-error-text.js';
import { DfsReader, DfsWriter, entryOf } from './dfs-file.js';
import type { Child, Entry, Kept, Lock, Reader, Staging, Tree, Writer } from './tree.js';
import { UnnamedFile } from './unnamed-file.js';

const SLASH = Buffer.from('/');
const DOT = Buffer.from('.');
/** Which lock it is, among those of this process. */
const LOCK_OWNER = '1';

/** A name in a directory; the root is the only place without one. */
export interface DfsPlace {
  /** The names that lead there. */
  readonly path: readonly Buffer[];
  /** The directory that has it, asked for when it is needed: a directory may be made after its entries are named. */
  readonly directory?: DfsPlace | undefined;
  /** The inode there, behind symbolic links, when it is known. */
  inode?: number;
  /** What is to be there has no name yet. */
  readonly unnamed?: UnnamedFile;
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
    return await this.#about(place, async () => {
      try {
        if (!isFollowing) return entryOf(await this.#ownAttributes(place));
        const attributes = await this.#fileSystem.resolve(place.path, undefined, true);
        place.inode = attributes.inode;
        return entryOf(attributes);
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return undefined;
        throw error;
      }
    });
  }

  async *children(place: DfsPlace): AsyncGenerator<Child<DfsPlace>> {
    try {
      for await (const { name, attributes } of this.#fileSystem.readdir(await this.#inodeOf(place))) {
        const child = { ...this.child(place, name), inode: attributes.inode };
        yield { name, place: child, entry: entryOf(attributes) };
      }
    } catch (error) {
      throw inTermsOfPath(error, this.describe(place));
    }
  }

  async openReader(place: DfsPlace): Promise<Reader> {
    return await this.#about(place, async () => {
      const handle = await this.#fileSystem.open(await this.#inodeOf(place), constants.O_RDONLY);
      return new DfsReader(this.#fileSystem, handle);
    });
  }

  async readSymlink(place: DfsPlace): Promise<Buffer> {
    return await this.#about(place, async () => await this.#fileSystem.readlink(await this.#inodeOf(place)));
  }

  child(directory: DfsPlace, name: Buffer): DfsPlace {
    return { path: [...directory.path, name], directory };
  }

  sibling(place: DfsPlace, name: Buffer): DfsPlace {
    const { directory } = this.#entryPlace(place);
    return this.child(directory, name);
  }

  parent(place: DfsPlace): DfsPlace {
    return this.#entryPlace(place).directory;
  }

  async *hiddenNamesBeside(place: DfsPlace): AsyncGenerator<Buffer> {
    const inode = await this.#inodeOf(this.parent(place));
    try {
      // In the order of their bytes: after the dot itself come the names that begin with one.
      for (let after: Uint8Array = DOT; ;) {
        const { entries, isLast } = await this.#fileSystem.readdirPage(inode, after);
        for (const { name } of entries) {
          if (name[0] !== DOT[0]) return;
          yield name;
          after = name;
        }
        if (isLast) return;
      }
    } catch (error) {
      if (!hasCode(error, 'EACCES')) throw inTermsOfPath(error, this.describe(place));
    }
  }

  /** To whom belongs what this process makes, as the file system shows it. */
  get #shownUid(): number {
    const { rights } = this.#fileSystem;
    return rights && (rights.squash === 'all' || isSquashed(this.#fileSystem))
      ? rights.anonUid
      : this.#owner.uid;
  }

  async makeLock(place: DfsPlace): Promise<Lock | undefined> {
    const { directory, name } = this.#entryPlace(place);
    return await this.#about(place, async () => {
      const parent = await this.#inodeOf(directory);
      const creation = { mode: 0o600, ...this.#owner };
      const { handle } = await this.#fileSystem.create(parent, name, creation, true, constants.O_RDWR);
      return await this.#locked(handle);
    });
  }

  async takeLock(place: DfsPlace): Promise<Lock | undefined> {
    const { directory, name } = this.#entryPlace(place);
    try {
      const { inode, mode, uid } = await this.#fileSystem.lookup(await this.#inodeOf(directory), name);
      if (!isRegularFile(mode) || uid !== this.#shownUid) return undefined;
      return await this.#locked(await this.#fileSystem.open(inode, constants.O_RDWR));
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'EACCES')) return undefined;
      throw inTermsOfPath(error, this.describe(place));
    }
  }

  /** The lock on an open file, if it is free and the file still has its name. Otherwise the handle is given back. */
  async #locked(handle: FileHandle): Promise<Lock | undefined> {
    const release = async (): Promise<void> => await this.#fileSystem.release(handle, LOCK_OWNER);
    const lock = { kind: 'flock', owner: LOCK_OWNER, type: 'write', start: 0, end: MAX_FILE_BYTES } as const;
    try {
      await this.#fileSystem.lock(handle, { ...lock, pid: process.pid }, false);
      const { nlink } = await this.#fileSystem.getattr(this.#fileSystem.inodeOf(handle));
      if (nlink > 0) return { release };
    } catch (error) {
      if (!hasCode(error, 'EAGAIN')) {
        await release();
        throw error;
      }
    }
    await release();
    return undefined;
  }

  nameOf(place: DfsPlace): Buffer {
    return place.path.at(-1) ?? Buffer.alloc(0);
  }

  async createWriter(place: DfsPlace, permissions: number): Promise<Writer> {
    const { directory, name } = this.#entryPlace(place);
    const creation = { mode: permissions, ...this.#owner };
    return await this.#about(place, async () => {
      const parent = await this.#inodeOf(directory);
      const created = place.unnamed
        ? await place.unnamed.create(parent, creation)
        : await this.#fileSystem.create(parent, name, creation, true, constants.O_WRONLY);
      place.inode = created.attributes.inode;
      return new DfsWriter(this.#fileSystem, created.handle, place.unnamed !== undefined);
    });
  }

  stageUnnamed(final: DfsPlace): Staging<DfsPlace> {
    const unnamed = new UnnamedFile(this.#fileSystem);
    const { directory, name } = this.#entryPlace(final);
    const place: DfsPlace = { path: final.path, directory, unnamed };
    return {
      place,
      publish: async isReplacing =>
        await this.#about(final, async () => {
          const [inode, parent] = [await this.#inodeOf(place), await this.#inodeOf(directory)];
          await unnamed.publish(inode, parent, name, isReplacing);
        }),
      discard: async () => await unnamed.discard(),
    };
  }

  async makeDirectory(place: DfsPlace, permissions: number): Promise<void> {
    const { directory, name } = this.#entryPlace(place);
    const creation = { mode: permissions, ...this.#owner };
    await this.#about(place, async () => {
      const made = await this.#fileSystem.mkdir(await this.#inodeOf(directory), name, creation);
      place.inode = made.inode;
    });
  }

  async makeSymlink(place: DfsPlace, target: Buffer): Promise<void> {
    const { directory, name } = this.#entryPlace(place);
    await this.#about(place, async () => {
      const made = await this.#fileSystem.symlink(await this.#inodeOf(directory), name, target, this.#owner);
      place.inode = made.inode;
    });
  }

  async setAttributes(place: DfsPlace, kind: Entry['kind'], kept: Kept): Promise<void> {
    // It was made with its permissions; they are given again because a new owner takes setuid and setgid away.
    if (!kept.owner && !kept.times) return;
    await this.#about(place, async () => {
      const inode = await this.#inodeOf(place);
      if (kept.owner && !isSquashed(this.#fileSystem)) await this.#fileSystem.setattr(inode, kept.owner);
      await this.#fileSystem.setattr(inode, {
        ...(kind === 'symlink' ? {} : { mode: kept.permissions }),
        ...kept.times,
      });
    });
  }

  async rename(from: DfsPlace, to: DfsPlace, isReplacing: boolean): Promise<void> {
    const source = this.#entryPlace(from);
    const target = this.#entryPlace(to);
    const parent = await this.#inodeOf(source.directory);
    const flags = isReplacing ? 0 : RenameFlag.noreplace;
    await this.#about(to, async () => {
      await this.#fileSystem.rename(parent, source.name, parent, target.name, flags);
    });
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
      if (!hasCode(error, 'ENOENT')) throw inTermsOfPath(error, this.describe(place));
    }
  }

  /** A symbolic link's own; those on the way to it are followed. */
  async #ownAttributes(place: DfsPlace): Promise<Attributes> {
    const name = place.path.at(-1);
    if (!place.directory || !name) return await this.#fileSystem.resolve([]);
    return await this.#fileSystem.lookup(await this.#inodeOf(place.directory), name);
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

  async #about<Result>(place: DfsPlace, work: () => Promise<Result>): Promise<Result> {
    return await aboutPath(this.describe(place), work);
  }
}

/** Whether this process's root may give files to nobody there, since it is not root there. */
function isSquashed({ rights }: FileSystem): boolean {
  return rights !== undefined && rights.squash !== 'none' && process.getuid?.() === 0;
}
