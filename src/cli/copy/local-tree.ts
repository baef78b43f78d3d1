/** This machine's files, as a copy sees them. Paths are bytes. */
import { constants } from 'node:fs';
import {
  link,
  lstat,
  mkdir,
  open,
  readlink,
  rename,
  stat,
  symlink,
  unlink,
  type FileHandle,
} from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import type { Timespec } from '../../platform/clock.js';
import { fileErrorText } from '../../platform/file-error-text.js';
import { tryLockFile } from '../../platform/file-lock.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import { PERMISSION_BITS } from '../../protocol/file-mode.js';
import { payloadBytes, slicePayload } from '../../platform/payload.js';
import type { Payload } from '../../protocol/frame.js';
import {
  namesIn,
  openDirectory,
  pathOf,
  removeAll,
  setFileAttributes,
  setLinkAttributes,
} from './local-descriptors.js';
import {
  specialFile,
  type Child,
  type Entry,
  type Kept,
  type Lock,
  type Reader,
  type Tree,
  type Writer,
} from './tree.js';

const READ_BYTES = 1 << 20;
const STAT_BLOCK_BYTES = 512n;
const BILLION = 1_000_000_000n;
const SLASH = 0x2f;
const DOT = 0x2e;

/** A directory that a copy has made, and by which everything below it is reached. */
interface Anchor {
  readonly place: Buffer;
  readonly directory: FileHandle;
}

/**
 * Others may have the right to change the directory that a copy goes to, and put a symbolic link in the place of what was made there a
 * moment ago. So the topmost directory that is made is kept open, and what is below it is reached by its descriptor
 * (/proc/self/fd, as openat(2) would); nobody else can change what is in it, for it has mode 700 until it is complete. No symbolic
 * link is followed that takes the place of anything that was made, listed or is being removed.
 */
export class LocalTree implements Tree<Buffer> {
  #anchor: Anchor | undefined;
  /** Places that were listed: what is there now is not followed if it is a symbolic link. */
  readonly #listed = new WeakSet<Buffer>();

  describe(place: Buffer): string {
    return place.toString('utf8');
  }

  async stat(place: Buffer, isFollowing: boolean): Promise<Entry | undefined> {
    try {
      return entryOf(await (isFollowing ? stat : lstat)(this.#reach(place), { bigint: true }));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw this.#explain(error, place);
    }
  }

  async *children(place: Buffer): AsyncGenerator<Child<Buffer>> {
    const directory = await this.#doing(
      place,
      async () => await openDirectory(place, this.#listed.has(place)),
    );
    try {
      for await (const name of namesIn(directory)) {
        const child = this.child(place, name);
        const entry = await this.stat(child, false);
        if (!entry) continue;
        this.#listed.add(child);
        yield { name, place: child, entry };
      }
    } finally {
      await directory.close();
    }
  }

  async openReader(place: Buffer): Promise<Reader> {
    // A FIFO that came in the file's place would have it wait for a writer.
    const flags =
      constants.O_RDONLY | constants.O_NONBLOCK | (this.#listed.has(place) ? constants.O_NOFOLLOW : 0);
    const file = await this.#doing(place, async () => await open(place, flags));
    const { kind } = entryOf(await file.stat({ bigint: true }));
    if (kind !== 'file') {
      await file.close();
      throw new DfsError(
        'EINVAL',
        `${this.describe(place)} is ${specialFile(kind) ?? `a ${kind}`} and no file`,
      );
    }
    return new LocalReader(file, async work => await this.#doing(place, work));
  }

  async readSymlink(place: Buffer): Promise<Buffer> {
    return await this.#doing(place, async () => await readlink(place, { encoding: 'buffer' }));
  }

  child(directory: Buffer, name: Buffer): Buffer {
    const separator = directory.at(-1) === SLASH ? [] : [Buffer.of(SLASH)];
    return Buffer.concat([directory, ...separator, name]);
  }

  sibling(place: Buffer, name: Buffer): Buffer {
    return Buffer.concat([place.subarray(0, place.lastIndexOf(SLASH) + 1), name]);
  }

  parent(place: Buffer): Buffer {
    const slash = place.lastIndexOf(SLASH);
    return slash < 0 ? Buffer.from('.') : place.subarray(0, Math.max(slash, 1));
  }

  async *hiddenNamesBeside(place: Buffer): AsyncGenerator<Buffer> {
    try {
      const directory = await openDirectory(this.parent(place), false);
      try {
        for await (const name of namesIn(directory)) if (name[0] === DOT) yield name;
      } finally {
        await directory.close();
      }
    } catch (error) {
      if (!hasCode(error, 'EACCES', 'EPERM')) throw this.#explain(error, this.parent(place));
    }
  }

  async makeLock(place: Buffer): Promise<Lock | undefined> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    const file = await this.#doing(place, async () => await open(place, flags, 0o600));
    // Where there are no locks, nobody takes it for one that was left.
    return await this.#heldUnless(file, state => state === 'held');
  }

  async takeLock(place: Buffer): Promise<Lock | undefined> {
    let file: FileHandle;
    try {
      file = await open(place, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'EACCES', 'EPERM', 'ELOOP', 'EISDIR', 'ENXIO', 'EROFS')) return undefined;
      throw this.#explain(error, place);
    }
    // Root leaves alone what others made: what lies beside may lead anywhere by the time it is removed.
    const { uid } = await file.stat();
    if (uid === process.getuid?.()) return await this.#heldUnless(file, state => state !== 'locked');
    await file.close();
    return undefined;
  }

  /** The lock, unless `isRefused` says otherwise of it or its file has lost its name. */
  async #heldUnless(
    file: FileHandle,
    isRefused: (state: 'locked' | 'held' | 'unsupported') => boolean,
  ): Promise<Lock | undefined> {
    const isOurs = !isRefused(await tryLockFile(file.fd)) && (await file.stat()).nlink > 0;
    if (isOurs) return { release: async () => await file.close() };
    await file.close();
    return undefined;
  }

  nameOf(place: Buffer): Buffer {
    return place.subarray(place.lastIndexOf(SLASH) + 1);
  }

  async createWriter(place: Buffer): Promise<Writer> {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const file = await this.#doing(place, async () => await open(this.#reach(place), flags, 0o600));
    return new LocalWriter(file, async work => await this.#doing(place, work));
  }

  async makeDirectory(place: Buffer): Promise<void> {
    await this.#doing(place, async () => {
      await mkdir(this.#reach(place), 0o700);
      if (this.#anchor) return;
      const directory = await openDirectory(place, true);
      if ((await directory.stat()).uid === process.geteuid?.()) this.#anchor = { place, directory };
      else {
        await directory.close();
        throw new DfsError('EACCES', `${this.describe(place)} was replaced while it was made`);
      }
    });
  }

  async makeSymlink(place: Buffer, target: Buffer): Promise<void> {
    await this.#doing(place, async () => await symlink(target, this.#reach(place)));
  }

  async setAttributes(place: Buffer, kind: Entry['kind'], kept: Kept): Promise<void> {
    await this.#doing(place, async () => {
      if (kind === 'symlink') await setLinkAttributes(this.#reach(place), kept);
      else if (this.#anchor?.place.equals(place) === true)
        await setFileAttributes(this.#anchor.directory, kept);
      else {
        const file = await open(
          this.#reach(place),
          constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
        );
        try {
          // Nor is it another name of a file of ours that lies elsewhere.
          if (kind === 'file' && (await file.stat()).nlink !== 1)
            throw new DfsError('EACCES', `${this.describe(place)} was replaced while it was written`);
          await setFileAttributes(file, kept);
        } finally {
          await file.close();
        }
      }
    });
  }

  async rename(from: Buffer, to: Buffer, isReplacing: boolean): Promise<void> {
    await this.#doing(to, async () => {
      if (isReplacing) await rename(from, to);
      else await this.#renameToFree(from, to);
    });
    await this.#letGo(from);
  }

  async remove(place: Buffer): Promise<void> {
    await this.#doing(place, async () => await removeAll(place));
    await this.#letGo(place);
  }

  /** The path by which a place is reached. */
  #reach(place: Buffer): Buffer {
    if (!this.#anchor) return place;
    const { place: above, directory } = this.#anchor;
    const isBelow = place[above.length] === SLASH && place.subarray(0, above.length).equals(above);
    return isBelow ? Buffer.concat([pathOf(directory), place.subarray(above.length)]) : place;
  }

  async #letGo(place: Buffer): Promise<void> {
    if (this.#anchor?.place.equals(place) !== true) return;
    const { directory } = this.#anchor;
    this.#anchor = undefined;
    await directory.close();
  }

  /** Node has no renameat2(2) with RENAME_NOREPLACE; these do not replace anything either. */
  async #renameToFree(from: Buffer, to: Buffer): Promise<void> {
    const entry = await this.stat(from, false);
    if (entry?.kind === 'directory') {
      // rename(2) replaces an empty directory, and this one is our own.
      await mkdir(to, 0o700);
      await rename(from, to);
      return;
    }
    try {
      await link(from, to);
    } catch (error) {
      if (!hasCode(error, 'EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EMLINK')) throw error;
      // A file system without hard links: looking first is the best there is.
      if (await this.stat(to, false)) throw new DfsError('EEXIST', `${this.describe(to)} exists already`);
      await rename(from, to);
      return;
    }
    await unlink(from);
  }

  async #doing<Result>(place: Buffer, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      throw this.#explain(error, place);
    }
  }

  #explain(error: unknown, place: Buffer): DfsError {
    const reason = toDfsError(error);
    if (error instanceof DfsError) return reason;
    return new DfsError(reason.code, fileErrorText(error, this.describe(place)), { cause: error });
  }
}

type Doing = <Result>(work: () => Promise<Result>) => Promise<Result>;

class LocalReader implements Reader {
  readonly #file: FileHandle;
  readonly #doing: Doing;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);

  constructor(file: FileHandle, doing: Doing) {
    this.#file = file;
    this.#doing = doing;
  }

  async read(): Promise<Payload | undefined> {
    const { bytesRead } = await this.#doing(
      async () => await this.#file.read(this.#buffer, 0, this.#buffer.length, null),
    );
    return bytesRead === 0 ? undefined : [this.#buffer.subarray(0, bytesRead)];
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

class LocalWriter implements Writer {
  readonly #file: FileHandle;
  readonly #doing: Doing;
  #offset = 0;

  constructor(file: FileHandle, doing: Doing) {
    this.#file = file;
    this.#doing = doing;
  }

  async write(pieces: Payload): Promise<void> {
    for (let left = pieces; left.length > 0;) {
      const { bytesWritten } = await this.#doing(async () => await this.#file.writev(left, this.#offset));
      left = slicePayload(left, bytesWritten, payloadBytes(left));
      this.#offset += bytesWritten;
    }
  }

  skip(bytes: number): void {
    this.#offset += bytes;
  }

  async finish(isDurable: boolean): Promise<void> {
    await this.#doing(async () => {
      await this.#file.truncate(this.#offset);
      if (isDurable) await this.#file.sync();
      await this.#file.close();
    });
  }

  async abandon(): Promise<void> {
    // It may be closed already, and nobody needs it any more.
    await this.#file.close().catch(() => undefined);
  }
}

function entryOf(stats: BigIntStats): Entry {
  const { mode, uid, gid, size, blocks, atimeNs, mtimeNs } = stats;
  return {
    kind: kindOf(stats),
    permissions: Number(mode) & PERMISSION_BITS,
    uid: Number(uid),
    gid: Number(gid),
    sizeBytes: Number(size),
    isSparse: blocks * STAT_BLOCK_BYTES < size,
    atime: timespec(atimeNs),
    mtime: timespec(mtimeNs),
  };
}

function kindOf(stats: BigIntStats): Entry['kind'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isFIFO()) return 'fifo';
  return stats.isSocket() ? 'socket' : 'device';
}

function timespec(nanoseconds: bigint): Timespec {
  const nsec = ((nanoseconds % BILLION) + BILLION) % BILLION;
  return { sec: Number((nanoseconds - nsec) / BILLION), nsec: Number(nsec) };
}
