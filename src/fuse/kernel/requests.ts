/** Each FUSE request as a call of the file system, and its result as the kernel's structure. */
import { constants } from 'node:fs';
import type { Logger } from '../../platform/log.js';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { PERMISSION_BITS, S_IFMT, S_ISGID } from '../../protocol/file-mode.js';
import type { Payload } from '../../protocol/frame.js';
import type { Attributes, TimeOrNow } from '../../protocol/types.js';
import type { AttributeChanges, DirectoryPage, FileSystem } from '../../vfs/file-system.js';
import { encodeAttr, encodeEntry, encodeNoEntry, readTime, writeEntry } from './attributes.js';
import { Callers, type Requester } from './callers.js';
import { DirectoryStream } from './directory-stream.js';
import { FileRequests } from './file-requests.js';
import type { KernelCache } from './kernel-cache.js';
import {
  BODY,
  dirent,
  done,
  handleOf,
  nameOf,
  NOTHING,
  openOut,
  sizeOf,
  type RequestHandler,
} from './replies.js';
import { isDotName, lookupByNumber } from './numbered-inodes.js';
import { checkFlags } from './request-flags.js';
import {
  DIRENT_NAME_OFFSET,
  ENTRY_OUT_BYTES,
  Opcode,
  OPEN_KILL_PRIVILEGES,
  readNames,
  readU64,
  SetattrValid,
  writeU64,
  type EntryTimes,
  type RequestHeader,
} from './wire.js';
import { XattrRequests } from './xattr-requests.js';

const STATFS_BLOCK_BYTES = 4096;
const MAX_NAME_BYTES = 255;

interface OpenDirectory {
  readonly stream: DirectoryStream;
  /** It was opened without O_NOATIME. */
  readonly movesAtime: boolean;
}

export class FuseRequests {
  readonly #fileSystem: FileSystem;
  readonly #cache: KernelCache;
  readonly #callers: Callers;
  readonly #xattrs: XattrRequests;
  /** handle → the directory it reads */
  readonly #directories = new Map<number, OpenDirectory>();
  #nextDirectory = 1;
  /** opcode → what answers it */
  readonly handlers: ReadonlyMap<number, RequestHandler>;

  constructor(fileSystem: FileSystem, cache: KernelCache, log: Logger) {
    this.#fileSystem = fileSystem;
    this.#cache = cache;
    this.#callers = new Callers(fileSystem, cache);
    this.#xattrs = new XattrRequests(fileSystem, cache, this.#callers);
    this.handlers = new Map<number, RequestHandler>([
      ...new FileRequests(fileSystem, cache, this.#callers, log).handlers,
      ...this.#xattrs.handlers,
      [Opcode.lookup, async (h, b) => await this.#lookup(h, b)],
      [Opcode.getattr, async (h, b) => await this.#getattr(h, b)],
      [Opcode.setattr, async (h, b) => await this.#setattr(h, b)],
      [Opcode.readlink, async h => await this.#readlink(h)],
      [Opcode.symlink, async (h, b) => await this.#symlink(h, b)],
      [Opcode.mknod, async (h, b) => await this.#mknod(h, b)],
      [Opcode.mkdir, async (h, b) => await this.#mkdir(h, b)],
      [Opcode.unlink, async (h, b) => await this.#unlink(h, b)],
      [Opcode.rmdir, async (h, b) => await this.#rmdir(h, b)],
      [Opcode.rename, async (h, b) => await this.#rename(h, b, BODY + 8, 0)],
      [Opcode.rename2, async (h, b) => await this.#rename(h, b, BODY + 16, b.readUInt32LE(BODY + 8))],
      [Opcode.link, async (h, b) => await this.#link(h, b)],
      [Opcode.create, async (h, b) => await this.#create(h, b)],
      [Opcode.tmpfile, async (h, b) => await this.#tmpfile(h, b)],
      [Opcode.statfs, async () => await this.#statfs()],
      [Opcode.opendir, async (h, b) => await this.#opendir(h, b)],
      [Opcode.readdir, async (h, b) => await this.#readdir(h, b, false)],
      [Opcode.readdirplus, async (h, b) => await this.#readdir(h, b, true)],
      [Opcode.releasedir, async (_, b) => await this.#releasedir(b)],
      [Opcode.fsyncdir, async (h, b) => await this.#fsyncdir(h, b)],
      [Opcode.syncfs, async () => await done(fileSystem.syncfs())],
      [Opcode.ioctl, async () => await refuse('ENOTTY')],
    ]);
  }

  /** FUSE_SETXATTR_EXT was negotiated. */
  set hasLongSetxattr(isLong: boolean) {
    this.#xattrs.hasLongSetxattr = isLong;
  }

  async #lookup(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const { inode } = header;
    const name = nameOf(readNames(bytes, BODY, 1)[0]);
    if (isDotName(name)) {
      const attributes = await lookupByNumber(this.#fileSystem, inode, name);
      // No entry of a directory: how long its name could be believed does not matter.
      return [this.#entry(ticket, attributes.inode, attributes)];
    }
    try {
      const attributes = await this.#callers.act(header, async files => await files.lookup(inode, name));
      return [this.#entry(ticket, inode, attributes)];
    } catch (error) {
      const keptMs = hasCode(error, 'ENOENT') ? this.#cache.nameMs(ticket, inode, true) : 0;
      if (keptMs > 0) return [encodeNoEntry(keptMs)];
      throw error;
    }
  }

  async #getattr({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    checkFlags('getattr_flags', bytes.readUInt32LE(BODY));
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
    checkFlags('setattr valid', valid);
    const has = (bit: number): boolean => (valid & bit) !== 0;
    const time = (set: number, now: number, at: number, nsecAt: number): TimeOrNow | undefined => {
      if (has(now)) return 'now';
      return has(set) ? readTime(bytes, at, nsecAt) : undefined;
    };
    const atime = time(SetattrValid.atime, SetattrValid.atimeNow, BODY + 32, BODY + 56);
    const mtime = time(SetattrValid.mtime, SetattrValid.mtimeNow, BODY + 40, BODY + 60);
    const kills = has(SetattrValid.killPrivileges);
    const privilegeLoss = await this.#callers.privilegeLoss(header, inode, kills);
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
    return [encodeAttr(await this.#changeAttributes(header, changes, has(SetattrValid.handle)), 0)];
  }

  async #changeAttributes(
    header: RequestHeader,
    changes: AttributeChanges,
    isByHandle: boolean,
  ): Promise<Attributes> {
    const { inode } = header;
    // ftruncate(2) and O_TRUNC: whoever has the file open for writing may.
    if (isByHandle) return await this.#fileSystem.setattr(inode, changes);
    const change = async (files: FileSystem): Promise<Attributes> => await files.setattr(inode, changes);
    const isSetgidGiven = ((changes.mode ?? 0) & S_ISGID) !== 0;
    return await (isSetgidGiven
      ? this.#callers.actKnowing(header, change)
      : this.#callers.act(header, change));
  }

  async #readlink({ inode }: RequestHeader): Promise<Payload> {
    const target = await this.#fileSystem.readlink(inode);
    this.#fileSystem.accessed(inode);
    return [target];
  }

  async #symlink(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const [name, target] = readNames(bytes, BODY, 2);
    const { inode, uid, gid } = header;
    const attributes = await this.#callers.act(
      header,
      async files => await files.symlink(inode, nameOf(name), nameOf(target), { uid, gid }),
    );
    return [this.#entry(ticket, inode, attributes)];
  }

  async #mknod(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const mode = bytes.readUInt32LE(BODY) & (S_IFMT | PERMISSION_BITS);
    const [name] = readNames(bytes, BODY + 16, 1);
    const { inode, uid, gid } = header;
    const creation = { mode, umask: bytes.readUInt32LE(BODY + 8), uid, gid };
    const rdev = bytes.readUInt32LE(BODY + 4);
    const attributes = await this.#callers.act(
      header,
      async files => await files.mknod(inode, nameOf(name), creation, rdev),
    );
    return [this.#entry(ticket, inode, attributes)];
  }

  async #mkdir(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const mode = bytes.readUInt32LE(BODY) & PERMISSION_BITS;
    const umask = bytes.readUInt32LE(BODY + 4);
    const [name] = readNames(bytes, BODY + 8, 1);
    const { inode, uid, gid } = header;
    const creation = { mode, umask, uid, gid };
    const attributes = await this.#callers.act(
      header,
      async files => await files.mkdir(inode, nameOf(name), creation),
    );
    return [this.#entry(ticket, inode, attributes)];
  }

  async #unlink(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const [name] = readNames(bytes, BODY, 1);
    const removing = this.#callers.act(header, async files => await files.unlink(header.inode, nameOf(name)));
    return await done(removing);
  }

  async #rmdir(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const [name] = readNames(bytes, BODY, 1);
    const removing = this.#callers.act(header, async files => await files.rmdir(header.inode, nameOf(name)));
    return await done(removing);
  }

  async #rename(header: RequestHeader, bytes: Buffer, namesAt: number, flags: number): Promise<Payload> {
    this.#cache.overlay.sawRename(flags);
    const newParent = readU64(bytes, BODY);
    const [name, newName] = readNames(bytes, namesAt, 2);
    const { inode, uid, gid } = header;
    const renaming = this.#callers.act(
      header,
      async files => await files.rename(inode, nameOf(name), newParent, nameOf(newName), flags, { uid, gid }),
    );
    return await done(renaming);
  }

  async #link(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const [name] = readNames(bytes, BODY + 8, 1);
    const linked = readU64(bytes, BODY);
    const { inode } = header;
    const attributes = await this.#callers.act(
      header,
      async files => await files.link(linked, inode, nameOf(name)),
    );
    this.#cache.noteLookup(attributes);
    return [encodeEntry(attributes, { entryTimeoutMs: this.#cache.nameMs(ticket, inode), attrTimeoutMs: 0 })];
  }

  async #create(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const { inode, uid, gid } = header;
    const flags = bytes.readUInt32LE(BODY);
    const mode = bytes.readUInt32LE(BODY + 4) & PERMISSION_BITS;
    const creation = { mode, umask: bytes.readUInt32LE(BODY + 8), uid, gid };
    const openFlags = bytes.readUInt32LE(BODY + 12);
    checkFlags('open_flags', openFlags);
    // Which file is there already is not known here, so what the caller's groups are is not asked.
    const loss = (openFlags & OPEN_KILL_PRIVILEGES) === 0 ? undefined : 'ordinary';
    const [name] = readNames(bytes, BODY + 16, 1);
    const isExclusive = (flags & O_EXCL) !== 0;
    const created = await this.#callers.act(
      header,
      async files => await files.create(inode, nameOf(name), creation, isExclusive, flags, loss),
    );
    return [this.#entry(ticket, inode, created.attributes), openOut(created.handle, 0)];
  }

  /** As CREATE; the name that comes along means nothing. */
  async #tmpfile(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const { inode, uid, gid } = header;
    const flags = bytes.readUInt32LE(BODY);
    const mode = bytes.readUInt32LE(BODY + 4) & PERMISSION_BITS;
    const creation = { mode, umask: bytes.readUInt32LE(BODY + 8), uid, gid };
    const { handle, attributes } = await this.#callers.act(
      header,
      async files => await files.tmpfile(inode, creation, flags),
    );
    this.#cache.noteLookup(attributes);
    // Under no name: there is none to be found by.
    return [encodeEntry(attributes, { entryTimeoutMs: 0, attrTimeoutMs: 0 }), openOut(handle, 0)];
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

  async #opendir({ inode, uid, gid, pid }: RequestHeader, bytes: Buffer): Promise<Payload> {
    const handle = this.#nextDirectory;
    this.#nextDirectory += 1;
    const stream = this.#directoryOf(inode, { uid, gid, pid });
    const movesAtime = (bytes.readUInt32LE(BODY) & O_NOATIME) === 0;
    this.#directories.set(handle, { stream, movesAtime });
    return [openOut(handle, this.#cache.listingFlags(this.#cache.ticket(), inode))];
  }

  /** Whoever opened the directory must be allowed to read it; who reads on by the handle is not asked (open(2)). */
  #directoryOf(inode: number, opener: Requester): DirectoryStream {
    let isAllowed = false;
    const readdirPage = async (...page: Parameters<FileSystem['readdirPage']>): Promise<DirectoryPage> => {
      if (isAllowed) return await this.#fileSystem.readdirPage(...page);
      const first = await this.#callers.act(opener, async files => await files.readdirPage(...page));
      isAllowed = true;
      return first;
    };
    return new DirectoryStream({ readdirPage }, inode);
  }

  async #readdir({ inode }: RequestHeader, bytes: Buffer, isPlus: boolean): Promise<Payload> {
    const open = this.#directories.get(handleOf(bytes));
    if (!open) return await refuse('EBADF');
    const { stream, movesAtime } = open;
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
    if (movesAtime) this.#fileSystem.accessed(inode);
    // One piece: writev(2) takes no more than 1024.
    return [Buffer.concat(page)];
  }

  async #fsyncdir({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    checkFlags('fsync_flags', bytes.readUInt32LE(BODY + 8));
    return await done(this.#fileSystem.fsyncDirectory(inode));
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
const { O_NOATIME } = constants;

async function refuse(code: 'ENOTTY' | 'EBADF'): Promise<Payload> {
  if (code === 'ENOTTY') throw new DfsError('ENOTTY', 'no ioctl is known here');
  throw new DfsError('EBADF', 'no such directory handle');
}
