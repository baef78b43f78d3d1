/** Each FUSE request as a call of the file system, and its result as the kernel's structure. */
import { assert, DfsError, hasCode } from '../../protocol/errors.js';
import { PERMISSION_BITS, S_IFMT } from '../../protocol/file-mode.js';
import type { Payload } from '../../protocol/frame.js';
import type { Attributes, PrivilegeLoss, TimeOrNow } from '../../protocol/types.js';
import type { AttributeChanges, FileSystem } from '../../vfs/file-system.js';
import { encodeAttr, encodeEntry, encodeNoEntry, readTime, writeEntry } from './attributes.js';
import { DirectoryStream, type PlacedEntry } from './directory-stream.js';
import type { KernelCache } from './kernel-cache.js';
import { supplementaryGroups } from './caller-groups.js';
import { encodeLock, readLock, readOwner } from './locks.js';
import {
  DIRENT_NAME_OFFSET,
  ENTRY_OUT_BYTES,
  IN_HEADER_BYTES,
  OPEN_OUT_BYTES,
  Opcode,
  OpenFlag,
  OPEN_KILL_PRIVILEGES,
  readNames,
  readU64,
  RELEASE_FLOCK_UNLOCK,
  SetattrValid,
  SETXATTR_ACL_KILL_SETGID,
  WRITE_DATA_OFFSET,
  WRITE_KILL_PRIVILEGES,
  writeU64,
  type EntryTimes,
  type RequestHeader,
} from './wire.js';

/**
 * Answers one kind of request; `bytes` is the whole request and may be looked at until the promise settles.
 * @param signal aborted when a signal came for the process that waits for the answer
 */
type RequestHandler = (header: RequestHeader, bytes: Buffer, signal?: AbortSignal) => Promise<Payload>;

const NOTHING: Payload = [];
const BODY = IN_HEADER_BYTES;
/** st_mode's type, as a directory entry has it (IFTODT in <dirent.h>). */
const TYPE_SHIFT = 12;
const STATFS_BLOCK_BYTES = 4096;
const MAX_NAME_BYTES = 255;
const TRUSTED_PREFIX = 'trusted.';
/** fuse_setxattr_in as it is, and before 7.33 */
const SETXATTR_IN_BYTES = 16;
const SHORT_SETXATTR_IN_BYTES = 8;

export class FuseRequests {
  readonly #fileSystem: FileSystem;
  readonly #cache: KernelCache;
  /** handle → the directory it reads */
  readonly #directories = new Map<number, DirectoryStream>();
  #nextDirectory = 1;
  /** opcode → what answers it */
  readonly handlers: ReadonlyMap<number, RequestHandler>;
  /** FUSE_SETXATTR_EXT was negotiated. */
  hasLongSetxattr = false;

  constructor(fileSystem: FileSystem, cache: KernelCache) {
    this.#fileSystem = fileSystem;
    this.#cache = cache;
    this.handlers = new Map<number, RequestHandler>([
      [Opcode.lookup, async (h, b) => await this.#lookup(h, b)],
      [Opcode.getattr, async h => await this.#getattr(h)],
      [Opcode.setattr, async (h, b) => await this.#setattr(h, b)],
      [Opcode.readlink, async h => [await fileSystem.readlink(h.inode)]],
      [Opcode.symlink, async (h, b) => await this.#symlink(h, b)],
      [Opcode.mknod, async (h, b) => await this.#mknod(h, b)],
      [Opcode.mkdir, async (h, b) => await this.#mkdir(h, b)],
      [Opcode.unlink, async (h, b) => await this.#unlink(h, b)],
      [Opcode.rmdir, async (h, b) => await this.#rmdir(h, b)],
      [Opcode.rename, async (h, b) => await this.#rename(h, b, BODY + 8, 0)],
      [Opcode.rename2, async (h, b) => await this.#rename(h, b, BODY + 16, b.readUInt32LE(BODY + 8))],
      [Opcode.link, async (h, b) => await this.#link(h, b)],
      [Opcode.open, async (h, b) => await this.#open(h, b)],
      [Opcode.create, async (h, b) => await this.#create(h, b)],
      [Opcode.read, async (_, b) => await this.#read(b)],
      [Opcode.write, async (h, b) => await this.#write(h, b)],
      [Opcode.lseek, async (_, b) => await this.#lseek(b)],
      [Opcode.fallocate, async (h, b) => await this.#fallocate(h, b)],
      [Opcode.copyFileRange, async (h, b) => await this.#copyFileRange(h, b)],
      [Opcode.tmpfile, async (h, b) => await this.#tmpfile(h, b)],
      [Opcode.flush, async (_, b) => await done(fileSystem.flush(handleOf(b), readOwner(b, BODY + 16)))],
      [Opcode.fsync, async (_, b) => await done(fileSystem.fsync(handleOf(b)))],
      [Opcode.release, async (_, b) => await this.#release(b)],
      [Opcode.getlk, async (_, b) => await this.#getlk(b)],
      [Opcode.setlk, async (h, b, signal) => await this.#setlk(h, b, false, signal)],
      [Opcode.setlkw, async (h, b, signal) => await this.#setlk(h, b, true, signal)],
      [Opcode.statfs, async () => await this.#statfs()],
      [Opcode.getxattr, async (h, b) => await this.#getxattr(h, b)],
      [Opcode.listxattr, async (h, b) => await this.#listxattr(h, b)],
      [Opcode.setxattr, async (h, b) => await this.#setxattr(h, b)],
      [Opcode.removexattr, async (h, b) => await this.#removexattr(h, b)],
      [Opcode.opendir, async h => await this.#opendir(h)],
      [Opcode.readdir, async (h, b) => await this.#readdir(h, b, false)],
      [Opcode.readdirplus, async (h, b) => await this.#readdir(h, b, true)],
      [Opcode.releasedir, async (_, b) => await this.#releasedir(b)],
      [Opcode.fsyncdir, async h => await done(fileSystem.fsyncDirectory(h.inode))],
      [Opcode.syncfs, async h => await done(fileSystem.fsyncDirectory(h.inode))],
      [Opcode.ioctl, async () => await refuse('ENOTTY')],
    ]);
  }

  async #lookup({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const [name] = readNames(bytes, BODY, 1);
    try {
      const attributes = await this.#fileSystem.lookup(inode, nameOf(name));
      return [this.#entry(ticket, inode, attributes)];
    } catch (error) {
      const keptMs = hasCode(error, 'ENOENT') ? this.#cache.nameMs(ticket, inode, true) : 0;
      if (keptMs > 0) return [encodeNoEntry(keptMs)];
      throw error;
    }
  }

  async #getattr({ inode }: RequestHeader): Promise<Payload> {
    const ticket = this.#cache.ticket();
    try {
      const attributes = await this.#fileSystem.getattr(inode);
      return [encodeAttr(attributes, this.#cache.attributesMs(ticket, attributes))];
    } catch (error) {
      // Removed while it was open without a handle of ours (a directory, a FIFO, O_PATH), which fstat(2) still answers.
      const last = hasCode(error, 'ENOENT') ? this.#cache.lastAttributes(inode) : undefined;
      if (last) return [encodeAttr({ ...last, nlink: 0 }, 0)];
      throw error;
    }
  }

  async #setattr(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const { inode } = header;
    const valid = bytes.readUInt32LE(BODY);
    const has = (bit: number): boolean => (valid & bit) !== 0;
    const time = (set: number, now: number, at: number, nsecAt: number): TimeOrNow | undefined => {
      if (has(now)) return 'now';
      return has(set) ? readTime(bytes, at, nsecAt) : undefined;
    };
    const atime = time(SetattrValid.atime, SetattrValid.atimeNow, BODY + 32, BODY + 56);
    const mtime = time(SetattrValid.mtime, SetattrValid.mtimeNow, BODY + 40, BODY + 60);
    const privilegeLoss = await this.#privilegeLoss(header, has(SetattrValid.killPrivileges));
    const changes: AttributeChanges = {
      ...(has(SetattrValid.mode) ? { mode: bytes.readUInt32LE(BODY + 68) & PERMISSION_BITS } : {}),
      ...(has(SetattrValid.uid) ? { uid: bytes.readUInt32LE(BODY + 76) } : {}),
      ...(has(SetattrValid.gid) ? { gid: bytes.readUInt32LE(BODY + 80) } : {}),
      ...(has(SetattrValid.size) ? { size: sizeOf(readU64(bytes, BODY + 16)) } : {}),
      ...(atime === undefined ? {} : { atime }),
      ...(mtime === undefined ? {} : { mtime }),
      ...(privilegeLoss ? { privilegeLoss } : {}),
    };
    // Never kept, and the kernel asks again when it wants to know (see KernelCache).
    return [encodeAttr(await this.#fileSystem.setattr(inode, changes), 0)];
  }

  async #symlink({ inode, uid, gid }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const [name, target] = readNames(bytes, BODY, 2);
    const attributes = await this.#fileSystem.symlink(inode, nameOf(name), nameOf(target), { uid, gid });
    return [this.#entry(ticket, inode, attributes)];
  }

  async #mknod({ inode, uid, gid }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const mode = bytes.readUInt32LE(BODY) & (S_IFMT | PERMISSION_BITS);
    const [name] = readNames(bytes, BODY + 16, 1);
    const creation = { mode, umask: bytes.readUInt32LE(BODY + 8), uid, gid };
    const rdev = bytes.readUInt32LE(BODY + 4);
    const attributes = await this.#fileSystem.mknod(inode, nameOf(name), creation, rdev);
    return [this.#entry(ticket, inode, attributes)];
  }

  async #mkdir({ inode, uid, gid }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const mode = bytes.readUInt32LE(BODY) & PERMISSION_BITS;
    const umask = bytes.readUInt32LE(BODY + 4);
    const [name] = readNames(bytes, BODY + 8, 1);
    const attributes = await this.#fileSystem.mkdir(inode, nameOf(name), { mode, umask, uid, gid });
    return [this.#entry(ticket, inode, attributes)];
  }

  async #unlink({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const [name] = readNames(bytes, BODY, 1);
    return await done(this.#fileSystem.unlink(inode, nameOf(name)));
  }

  async #rmdir({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const [name] = readNames(bytes, BODY, 1);
    return await done(this.#fileSystem.rmdir(inode, nameOf(name)));
  }

  async #rename({ inode }: RequestHeader, bytes: Buffer, namesAt: number, flags: number): Promise<Payload> {
    const newParent = readU64(bytes, BODY);
    const [name, newName] = readNames(bytes, namesAt, 2);
    return await done(this.#fileSystem.rename(inode, nameOf(name), newParent, nameOf(newName), flags));
  }

  async #link({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const [name] = readNames(bytes, BODY + 8, 1);
    const attributes = await this.#fileSystem.link(readU64(bytes, BODY), inode, nameOf(name));
    this.#cache.noteLookup(attributes);
    return [encodeEntry(attributes, { entryTimeoutMs: this.#cache.nameMs(ticket, inode), attrTimeoutMs: 0 })];
  }

  async #create(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const { inode, uid, gid } = header;
    const flags = bytes.readUInt32LE(BODY);
    const mode = bytes.readUInt32LE(BODY + 4) & PERMISSION_BITS;
    const creation = { mode, umask: bytes.readUInt32LE(BODY + 8), uid, gid };
    // Which file is there already is not known here, so what the caller's groups are is not asked.
    const loss = (bytes.readUInt32LE(BODY + 12) & OPEN_KILL_PRIVILEGES) === 0 ? undefined : 'ordinary';
    const [name] = readNames(bytes, BODY + 16, 1);
    const isExclusive = (flags & O_EXCL) !== 0;
    const created = await this.#fileSystem.create(inode, nameOf(name), creation, isExclusive, flags, loss);
    return [this.#entry(ticket, inode, created.attributes), openOut(created.handle, 0)];
  }

  async #open(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const { inode } = header;
    const ticket = this.#cache.ticket();
    const kills = (bytes.readUInt32LE(BODY + 4) & OPEN_KILL_PRIVILEGES) !== 0;
    const loss = await this.#privilegeLoss(header, kills);
    const opening = this.#fileSystem.open(inode, bytes.readUInt32LE(BODY), loss);
    const handle = await opening.catch((error: unknown) => {
      // Removed or renamed over since it was looked up. On ESTALE the kernel walks the path once more, and so finds the
      // new file; POSIX rename(): a link named new remains visible throughout.
      throw hasCode(error, 'ENOENT') ? new DfsError('ESTALE', 'the file was removed meanwhile') : error;
    });
    if (loss) await this.#cache.dropPrivileges(inode);
    return [openOut(handle, this.#cache.mayKeepContent(ticket, inode) ? OpenFlag.keepCache : 0)];
  }

  async #read(bytes: Buffer): Promise<Payload> {
    const offset = readU64(bytes, BODY + 8);
    return await this.#fileSystem.read(handleOf(bytes), offset, bytes.readUInt32LE(BODY + 16));
  }

  async #write(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const size = bytes.readUInt32LE(BODY + 16);
    const data = bytes.subarray(WRITE_DATA_OFFSET, WRITE_DATA_OFFSET + size);
    const offset = sizeOf(readU64(bytes, BODY + 8));
    // A page that is written back late has its place; its request has no flags of open(2).
    const isAppend = (bytes.readUInt32LE(BODY + 32) & O_APPEND) !== 0;
    const kills = (bytes.readUInt32LE(BODY + 20) & WRITE_KILL_PRIVILEGES) !== 0;
    const privilegeLoss = kills ? await this.#privilegeLoss(header, kills) : undefined;
    const options = { isAppend, privilegeLoss };
    const written = await this.#fileSystem.write(handleOf(bytes), offset, data, options);
    if (privilegeLoss) await this.#cache.dropPrivileges(header.inode);
    return [sizeOut(written)];
  }

  /** fuse_lseek_in; the other kinds of lseek(2) the kernel answers itself. */
  async #lseek(bytes: Buffer): Promise<Payload> {
    const whence = bytes.readUInt32LE(BODY + 16);
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) {
      throw new DfsError('EINVAL', 'lseek(2) asks for data or for holes');
    }
    const offset = readU64(bytes, BODY + 8);
    // A negative one arrives as a very large one.
    if (!Number.isSafeInteger(offset)) throw new DfsError('ENXIO', 'the offset is beyond every file');
    const wanted = whence === SEEK_DATA ? 'data' : 'hole';
    const found = Buffer.alloc(8);
    writeU64(found, await this.#fileSystem.seek(handleOf(bytes), offset, wanted), 0);
    return [found];
  }

  /** fuse_fallocate_in */
  async #fallocate(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const offset = sizeOf(readU64(bytes, BODY + 8));
    const length = sizeOf(readU64(bytes, BODY + 16));
    const mode = bytes.readUInt32LE(BODY + 24);
    // No flag tells here what the kernel leaves to us (fuse_file_fallocate, FUSE_HANDLE_KILLPRIV_V2).
    const loss = await this.#privilegeLoss(header, header.uid !== 0);
    await this.#fileSystem.fallocate(handleOf(bytes), mode, offset, length, loss);
    if (loss) await this.#cache.dropPrivileges(header.inode);
    return NOTHING;
  }

  /** fuse_copy_file_range_in */
  async #copyFileRange(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const [offset, target, targetOffset, length] = [8, 24, 32, 40].map(at =>
      sizeOf(readU64(bytes, BODY + at)),
    );
    assert(
      offset !== undefined && target !== undefined && targetOffset !== undefined && length !== undefined,
      'four fields were read',
    );
    // The answer has 32 bits for the count.
    const wanted = Math.min(length, MAX_COPY_BYTES);
    const targetInode = readU64(bytes, BODY + 16);
    const loss = await this.#privilegeLoss({ ...header, inode: targetInode }, header.uid !== 0);
    const source = handleOf(bytes);
    const copied = await this.#fileSystem.copyRange(source, offset, target, targetOffset, wanted, loss);
    if (loss) await this.#cache.dropPrivileges(targetInode);
    return [sizeOut(copied)];
  }

  /** As CREATE; the name that comes along means nothing. */
  async #tmpfile({ inode, uid, gid }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const flags = bytes.readUInt32LE(BODY);
    const mode = bytes.readUInt32LE(BODY + 4) & PERMISSION_BITS;
    const creation = { mode, umask: bytes.readUInt32LE(BODY + 8), uid, gid };
    const { handle, attributes } = await this.#fileSystem.tmpfile(inode, creation, flags);
    this.#cache.noteLookup(attributes);
    // Under no name: there is none to be found by.
    return [encodeEntry(attributes, { entryTimeoutMs: 0, attrTimeoutMs: 0 }), openOut(handle, 0)];
  }

  async #release(bytes: Buffer): Promise<Payload> {
    const hasFlock = (bytes.readUInt32LE(BODY + 12) & RELEASE_FLOCK_UNLOCK) !== 0;
    const owner = hasFlock ? readOwner(bytes, BODY + 16) : undefined;
    return await done(this.#fileSystem.release(handleOf(bytes), owner));
  }

  async #getlk(bytes: Buffer): Promise<Payload> {
    const { handle, lock } = readLock(bytes);
    return [encodeLock(await this.#fileSystem.testLock(handle, lock))];
  }

  async #setlk(
    { inode }: RequestHeader,
    bytes: Buffer,
    wait: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Payload> {
    const { handle, isUnlock, lock } = readLock(bytes);
    if (isUnlock) return await done(this.#fileSystem.unlock(handle, lock));
    await this.#fileSystem.lock(handle, lock, wait, signal);
    // Size and times tell the kernel whether the pages that it keeps are those that the last holder left.
    this.#cache.doubt(inode);
    return NOTHING;
  }

  /**
   * What the caller's change takes away. Setgid without execution by the group stays only for the group's members and
   * for root (setattr_should_drop_sgid() in Linux), and who is one the kernel leaves to us to find out.
   */
  async #privilegeLoss(header: RequestHeader, kills: boolean): Promise<PrivilegeLoss | undefined> {
    if (!kills) return undefined;
    const group = this.#cache.lockingGroup(header.inode);
    if (group === undefined || header.uid === 0 || header.gid === group) return 'ordinary';
    const groups = await supplementaryGroups(header.pid);
    return groups.includes(group) ? 'ordinary' : 'all';
  }

  async #statfs(): Promise<Payload> {
    const { totalBytes, freeBytes, inodes } = await this.#fileSystem.statfs();
    const bytes = Buffer.alloc(80);
    writeU64(bytes, Math.floor(totalBytes / STATFS_BLOCK_BYTES), 0);
    writeU64(bytes, Math.floor(freeBytes / STATFS_BLOCK_BYTES), 8);
    writeU64(bytes, Math.floor(freeBytes / STATFS_BLOCK_BYTES), 16);
    // There is no table of inodes that could be full; programs only want to see that some are free.
    writeU64(bytes, inodes * 2 + 0x1000_0000, 24);
    writeU64(bytes, inodes + 0x1000_0000, 32);
    bytes.writeUInt32LE(STATFS_BLOCK_BYTES, 40);
    bytes.writeUInt32LE(MAX_NAME_BYTES, 44);
    bytes.writeUInt32LE(STATFS_BLOCK_BYTES, 48);
    return [bytes];
  }

  async #getxattr({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const [name] = readNames(bytes, BODY + 8, 1);
    return sized(await this.#fileSystem.getxattr(inode, nameOf(name)), bytes.readUInt32LE(BODY));
  }

  async #listxattr({ inode, uid }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const names = await this.#fileSystem.listxattr(inode);
    // xattr(7): the trusted ones are for processes with CAP_SYS_ADMIN.
    const seen = names.filter(name => uid === 0 || !name.toString('latin1').startsWith(TRUSTED_PREFIX));
    const list = Buffer.concat(seen.flatMap(name => [name, Buffer.alloc(1)]));
    return sized(list, bytes.readUInt32LE(BODY));
  }

  async #setxattr({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const size = bytes.readUInt32LE(BODY);
    const nameAt = BODY + (this.hasLongSetxattr ? SETXATTR_IN_BYTES : SHORT_SETXATTR_IN_BYTES);
    const [given] = readNames(bytes, nameAt, 1);
    const name = nameOf(given);
    const at = nameAt + name.length + 1;
    const value = Buffer.from(bytes.subarray(at, at + size));
    const flags = this.hasLongSetxattr ? bytes.readUInt32LE(BODY + 8) : 0;
    const strips = (flags & SETXATTR_ACL_KILL_SETGID) !== 0;
    return await done(this.#fileSystem.setxattr(inode, name, value, bytes.readUInt32LE(BODY + 4), strips));
  }

  async #removexattr({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const [name] = readNames(bytes, BODY, 1);
    return await done(this.#fileSystem.removexattr(inode, nameOf(name)));
  }

  async #opendir({ inode }: RequestHeader): Promise<Payload> {
    const handle = this.#nextDirectory;
    this.#nextDirectory += 1;
    this.#directories.set(handle, new DirectoryStream(this.#fileSystem, inode));
    return [openOut(handle, 0)];
  }

  async #readdir({ inode }: RequestHeader, bytes: Buffer, isPlus: boolean): Promise<Payload> {
    const stream = this.#directories.get(handleOf(bytes));
    if (!stream) return await refuse('EBADF');
    const room = bytes.readUInt32LE(BODY + 16);
    const position = readU64(bytes, BODY + 8);
    const ticket = this.#cache.ticket();
    const entries = isPlus
      ? await stream.freshFrom(position, Math.max(1, Math.floor(room / MIN_DIRENT_PLUS_BYTES)))
      : await stream.from(position);
    const page: Buffer[] = [];
    let used = 0;
    for (const entry of entries) {
      const encoded = dirent(entry, isPlus ? ENTRY_OUT_BYTES : 0);
      if (used + encoded.length > room) break;
      // For `.` and `..` the kernel ignores the attributes; inode 0 says that there are none (fuse_direntplus_link).
      if (isPlus && entry.entry) this.#writeEntry(encoded, ticket, inode, entry.entry.attributes);
      page.push(encoded);
      used += encoded.length;
    }
    // One piece: writev(2) takes no more than 1024.
    return [Buffer.concat(page)];
  }

  async #releasedir(bytes: Buffer): Promise<Payload> {
    this.#directories.delete(handleOf(bytes));
    return NOTHING;
  }

  /** fuse_entry_out for a name in `directory`, believed as long as the lease allows. */
  #entry(ticket: number, directory: number, attributes: Attributes): Buffer {
    const bytes = Buffer.allocUnsafe(ENTRY_OUT_BYTES);
    this.#writeEntry(bytes, ticket, directory, attributes);
    return bytes;
  }

  #writeEntry(bytes: Buffer, ticket: number, directory: number, attributes: Attributes): void {
    this.#cache.noteLookup(attributes);
    const times: EntryTimes = {
      entryTimeoutMs: this.#cache.nameMs(ticket, directory),
      attrTimeoutMs: this.#cache.attributesMs(ticket, attributes),
    };
    writeEntry(bytes, attributes, times, 0);
  }
}

/** fuse_direntplus with a name of one to eight bytes. */
const MIN_DIRENT_PLUS_BYTES = ENTRY_OUT_BYTES + DIRENT_NAME_OFFSET + 8;
const O_EXCL = 0o200;
const O_APPEND = 0o2000;
/** lseek(2)'s whence. */
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const MAX_COPY_BYTES = 0x7fff_f000;

function nameOf(name: Buffer | undefined): Buffer {
  if (!name) throw new DfsError('EINVAL', 'the kernel sent a request without a name');
  return name;
}

function handleOf(bytes: Buffer): number {
  return readU64(bytes, BODY);
}

function sizeOf(value: number): number {
  if (!Number.isSafeInteger(value)) throw new DfsError('EFBIG', 'files end below 2^53 bytes');
  return value;
}

async function done(work: Promise<void>): Promise<Payload> {
  await work;
  return NOTHING;
}

async function refuse(code: 'ENOTTY' | 'EBADF'): Promise<Payload> {
  if (code === 'ENOTTY') throw new DfsError('ENOTTY', 'no ioctl is known here');
  throw new DfsError('EBADF', 'no such directory handle');
}

function openOut(handle: number, flags: number): Buffer {
  const bytes = Buffer.alloc(OPEN_OUT_BYTES);
  writeU64(bytes, handle, 0);
  bytes.writeUInt32LE(flags, 8);
  return bytes;
}

function sizeOut(size: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(size, 0);
  return bytes;
}

/** getxattr(2), listxattr(2): size 0 asks how large the value is; one that does not fit is ERANGE. */
function sized(value: Buffer, room: number): Payload {
  if (room === 0) return [sizeOut(value.length)];
  if (value.length > room) throw new DfsError('ERANGE', 'the buffer is too small for the value');
  return [value];
}

/** fuse_dirent, padded to 8 bytes, with room for `before` bytes in front of it. */
function dirent({ name, inode, mode, next }: PlacedEntry, before: number): Buffer {
  const length = before + DIRENT_NAME_OFFSET + name.length;
  const bytes = Buffer.alloc(Math.ceil(length / 8) * 8);
  writeU64(bytes, inode, before);
  writeU64(bytes, next, before + 8);
  bytes.writeUInt32LE(name.length, before + 16);
  bytes.writeUInt32LE((mode & S_IFMT) >>> TYPE_SHIFT, before + 20);
  name.copy(bytes, before + DIRENT_NAME_OFFSET);
  return bytes;
}
