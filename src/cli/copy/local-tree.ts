/** This machine's files, as a copy sees them. Paths are bytes. */
import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import {
  chmod,
  lchown,
  link,
  lstat,
  lutimes,
  mkdir,
  open,
  opendir,
  readlink,
  rename,
  rm,
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
import type { Payload } from '../../protocol/frame.js';
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

export class LocalTree implements Tree<Buffer> {
  describe(place: Buffer): string {
    return place.toString('utf8');
  }

  async stat(place: Buffer, isFollowing: boolean): Promise<Entry | undefined> {
    try {
      return entryOf(await (isFollowing ? stat : lstat)(place, { bigint: true }));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw this.#explain(error, place);
    }
  }

  async *children(place: Buffer): AsyncGenerator<Child<Buffer>> {
    for await (const name of this.#names(place)) {
      const child = this.child(place, name);
      const entry = await this.stat(child, false);
      if (entry) yield { name, place: child, entry };
    }
  }

  async *#names(place: Buffer): AsyncGenerator<Buffer> {
    // The types of Node know only encodings of text; with this one names are bytes.
    const encoding = 'buffer' as BufferEncoding;
    const directory = await this.#doing(place, async () => await opendir(place, { encoding }));
    for await (const { name } of directory as AsyncIterable<{ name: unknown }>) {
      yield Buffer.isBuffer(name) ? name : Buffer.from(String(name));
    }
  }

  async openReader(place: Buffer): Promise<Reader> {
    // A FIFO that came in the file's place would have it wait for a writer.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK;
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
      for await (const name of this.#names(this.parent(place))) if (name[0] === DOT) yield name;
    } catch (error) {
      if (!hasCode(error, 'EACCES', 'EPERM')) throw error;
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
    const file = await this.#doing(place, async () => await open(place, flags, 0o600));
    return new LocalWriter(file, async work => await this.#doing(place, work));
  }

  async makeDirectory(place: Buffer): Promise<void> {
    await this.#doing(place, async () => await mkdir(place, 0o700));
  }

  async makeSymlink(place: Buffer, target: Buffer): Promise<void> {
    await this.#doing(place, async () => await symlink(target, place));
  }

  async setAttributes(place: Buffer, kind: Entry['kind'], kept: Kept): Promise<void> {
    const { owner, times } = kept;
    await this.#doing(place, async () => {
      // chown(2) takes setuid and setgid away, so it comes first.
      if (owner) await lchown(place, owner.uid, owner.gid);
      if (kind !== 'symlink') await chmod(place, kept.permissions);
      if (times) await lutimes(place, seconds(times.atime), seconds(times.mtime));
    });
  }

  async rename(from: Buffer, to: Buffer, isReplacing: boolean): Promise<void> {
    await this.#doing(to, async () => {
      if (isReplacing) await rename(from, to);
      else await this.#renameToFree(from, to);
    });
  }

  async remove(place: Buffer): Promise<void> {
    // rm(…, { recursive }) of Node 20 takes only text for what is below.
    const entry = await this.stat(place, false);
    if (!entry) return;
    if (entry.kind !== 'directory') {
      await this.#doing(place, async () => await unlink(place));
      return;
    }
    for await (const child of this.children(place)) await this.remove(child.place);
    await this.#doing(place, async () => await rm(place, { recursive: true }));
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

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await this.#doing(
        async () => await this.#file.write(bytes, at, bytes.length - at, this.#offset),
      );
      at += bytesWritten;
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

/** As exactly as a double has them: to the microsecond or better until the year 2242. */
function seconds(time: Timespec): number {
  return time.sec + time.nsec / 1e9;
}
