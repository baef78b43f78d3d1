/** Each FUSE request as a call of the file system, and its result as the kernel's structure. */
import type { Logger } from '../../platform/log.js';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { PERMISSION_BITS, S_IFMT, S_ISGID } from '../../protocol/file-mode.js';
import type { Payload } from '../../protocol/frame.js';
import type { KernelState } from '../../protocol/take-over.js';
import type { Attributes, TimeOrNow } from '../../protocol/types.js';
import type { AttributeChanges, FileSystem } from '../../vfs/file-system.js';
import { encodeAttr, encodeEntry, encodeNoEntry } from './attributes.js';
import { Callers } from './callers.js';
import { DirectoryRequests } from './directory-requests.js';
import { FileRequests } from './file-requests.js';
import { entryOf, ImmediateRequests } from './immediate-requests.js';
import type { KernelCache } from './kernel-cache.js';
import { isDotName, lookupByNumber } from './numbered-inodes.js';
import { done, nameOf, openOut, sizeOf, type RequestHandler } from './replies.js';
import { checkFlags } from './request-flags.js';
import {
  fuseCreateIn,
  fuseGetattrIn,
  fuseLinkIn,
  fuseMkdirIn,
  fuseMknodIn,
  fuseRename2In,
  fuseRenameIn,
  fuseSetattrIn,
  fuseStatfsOut,
} from './structs.js';
import { Opcode, OPEN_KILL_PRIVILEGES, readNames, SetattrValid, type RequestHeader } from './wire.js';
import { XattrRequests } from './xattr-requests.js';

type OpenState = Pick<KernelState, 'pageless' | 'directories' | 'lastDirectory'>;

const STATFS_BLOCK_BYTES = 4096;
const MAX_NAME_BYTES = 255;
const FREE_INODES = 0x1000_0000;

export class FuseRequests {
  readonly #fileSystem: FileSystem;
  readonly #cache: KernelCache;
  readonly #callers: Callers;
  readonly #xattrs: XattrRequests;
  readonly #files: FileRequests;
  readonly #directories: DirectoryRequests;
  readonly immediate: ImmediateRequests;
  /** opcode → what answers it */
  readonly handlers: ReadonlyMap<number, RequestHandler>;

  constructor(fileSystem: FileSystem, cache: KernelCache, log: Logger) {
    this.#fileSystem = fileSystem;
    this.#cache = cache;
    this.#callers = new Callers(fileSystem, cache);
    this.#xattrs = new XattrRequests(fileSystem, cache, this.#callers);
    this.#files = new FileRequests(fileSystem, cache, this.#callers, log);
    this.#directories = new DirectoryRequests(fileSystem, cache, this.#callers);
    this.immediate = new ImmediateRequests({
      fileSystem,
      cache,
      files: this.#files,
      directories: this.#directories,
    });
    this.handlers = new Map<number, RequestHandler>([
      ...this.#files.handlers,
      ...this.#directories.handlers,
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
      [Opcode.rename, async (h, b) => await this.#rename(h, b, fuseRenameIn, 0)],
      [Opcode.rename2, async (h, b) => await this.#rename(h, b, fuseRename2In, fuseRename2In.body(b).flags)],
      [Opcode.link, async (h, b) => await this.#link(h, b)],
      [Opcode.create, async (h, b) => await this.#create(h, b)],
      [Opcode.tmpfile, async (h, b) => await this.#tmpfile(h, b)],
      [Opcode.statfs, async () => await this.#statfs()],
      [Opcode.syncfs, async () => await done(fileSystem.syncfs())],
      [Opcode.ioctl, noIoctl],
    ]);
  }

  /** What a successor of this process has to know (protocol/take-over.ts). */
  state(): OpenState {
    return { pageless: this.#files.pageless, ...this.#directories.state() };
  }

  restore(state: OpenState): void {
    this.#files.restore(state.pageless);
    this.#directories.restore(state);
  }

  /** FUSE_SETXATTR_EXT was negotiated. */
  set hasLongSetxattr(isLong: boolean) {
    this.#xattrs.hasLongSetxattr = isLong;
  }

  async #lookup(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const { inode } = header;
    const name = nameOf(readNames(bytes, 1)[0]);
    this.#directories.lookedUp(header);
    if (isDotName(name)) {
      const attributes = await lookupByNumber(this.#fileSystem, inode, name);
      // No entry of a directory: how long its name could be believed does not matter.
      return [entryOf(this.#cache, ticket, attributes.inode, attributes)];
    }
    try {
      const attributes = await this.#callers.act(header, async files => await files.lookup(inode, name));
      return [entryOf(this.#cache, ticket, inode, attributes)];
    } catch (error) {
      const keptMs = hasCode(error, 'ENOENT') ? this.#cache.nameMs(ticket, inode, true) : 0;
      if (keptMs > 0) return [encodeNoEntry(keptMs)];
      throw error;
    }
  }

  async #getattr({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    checkFlags('getattr_flags', fuseGetattrIn.body(bytes).getattrFlags);
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
    const given = fuseSetattrIn.body(bytes);
    const { valid } = given;
    checkFlags('setattr valid', valid);
    const has = (bit: number): boolean => (valid & bit) !== 0;
    const time = (set: number, now: number, sec: number, nsec: number): TimeOrNow | undefined => {
      if (has(now)) return 'now';
      return has(set) ? { sec, nsec } : undefined;
    };
    const atime = time(SetattrValid.atime, SetattrValid.atimeNow, given.atime, given.atimensec);
    const mtime = time(SetattrValid.mtime, SetattrValid.mtimeNow, given.mtime, given.mtimensec);
    const kills = has(SetattrValid.killPrivileges);
    const privilegeLoss = await this.#callers.privilegeLoss(header, inode, kills);
    const changes: AttributeChanges = {
      ...(has(SetattrValid.mode) ? { mode: given.mode & PERMISSION_BITS } : {}),
      ...(has(SetattrValid.uid) ? { uid: given.uid } : {}),
      ...(has(SetattrValid.gid) ? { gid: given.gid } : {}),
      ...(has(SetattrValid.size) ? { size: sizeOf(given.size) } : {}),
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
    const [name, target] = readNames(bytes, 2);
    const { inode, uid, gid } = header;
    const attributes = await this.#callers.act(
      header,
      async files => await files.symlink(inode, nameOf(name), nameOf(target), { uid, gid }),
    );
    return [entryOf(this.#cache, ticket, inode, attributes)];
  }

  async #mknod(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const { mode, umask, rdev } = fuseMknodIn.body(bytes);
    const [name] = readNames(bytes, 1, fuseMknodIn);
    const { inode, uid, gid } = header;
    const creation = { mode: mode & (S_IFMT | PERMISSION_BITS), umask, uid, gid };
    const attributes = await this.#callers.act(
      header,
      async files => await files.mknod(inode, nameOf(name), creation, rdev),
    );
    return [entryOf(this.#cache, ticket, inode, attributes)];
  }

  async #mkdir(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const { mode, umask } = fuseMkdirIn.body(bytes);
    const [name] = readNames(bytes, 1, fuseMkdirIn);
    const { inode, uid, gid } = header;
    const creation = { mode: mode & PERMISSION_BITS, umask, uid, gid };
    const attributes = await this.#callers.act(
      header,
      async files => await files.mkdir(inode, nameOf(name), creation),
    );
    return [entryOf(this.#cache, ticket, inode, attributes)];
  }

  async #unlink(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const [name] = readNames(bytes, 1);
    const removing = this.#callers.act(header, async files => await files.unlink(header.inode, nameOf(name)));
    return await done(removing);
  }

  async #rmdir(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const [name] = readNames(bytes, 1);
    const removing = this.#callers.act(header, async files => await files.rmdir(header.inode, nameOf(name)));
    return await done(removing);
  }

  async #rename(
    header: RequestHeader,
    bytes: Buffer,
    struct: typeof fuseRenameIn | typeof fuseRename2In,
    flags: number,
  ): Promise<Payload> {
    this.#cache.overlay.sawRename(flags);
    const { newdir: newParent } = struct.body(bytes);
    const [name, newName] = readNames(bytes, 2, struct);
    const { inode, uid, gid } = header;
    const renaming = this.#callers.act(
      header,
      async files => await files.rename(inode, nameOf(name), newParent, nameOf(newName), flags, { uid, gid }),
    );
    return await done(renaming);
  }

  async #link(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const ticket = this.#cache.ticket();
    const { oldnodeid: linked } = fuseLinkIn.body(bytes);
    const [name] = readNames(bytes, 1, fuseLinkIn);
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
    const { flags, mode, umask, openFlags } = fuseCreateIn.body(bytes);
    const creation = { mode: mode & PERMISSION_BITS, umask, uid, gid };
    checkFlags('open_flags', openFlags);
    // Which file is there already is not known here, so what the caller's groups are is not asked.
    const loss = (openFlags & OPEN_KILL_PRIVILEGES) === 0 ? undefined : 'ordinary';
    const [name] = readNames(bytes, 1, fuseCreateIn);
    const isExclusive = (flags & O_EXCL) !== 0;
    const created = await this.#callers.act(
      header,
      async files => await files.create(inode, nameOf(name), creation, isExclusive, flags, loss),
    );
    return [entryOf(this.#cache, ticket, inode, created.attributes), openOut(created.handle, 0)];
  }

  /** As CREATE; the name that comes along means nothing. */
  async #tmpfile(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const { inode, uid, gid } = header;
    const { flags, mode, umask } = fuseCreateIn.body(bytes);
    const creation = { mode: mode & PERMISSION_BITS, umask, uid, gid };
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
    const bytes = fuseStatfsOut.encode({});
    const { st } = fuseStatfsOut.view(bytes, 0);
    st.blocks = Math.floor(totalBytes / STATFS_BLOCK_BYTES);
    st.bfree = Math.floor(freeBytes / STATFS_BLOCK_BYTES);
    st.bavail = st.bfree;
    // There is no table of inodes that could be full; programs only want to see that some are free.
    st.files = inodes * 2 + FREE_INODES;
    st.ffree = inodes + FREE_INODES;
    st.bsize = STATFS_BLOCK_BYTES;
    st.namelen = MAX_NAME_BYTES;
    st.frsize = STATFS_BLOCK_BYTES;
    return [bytes];
  }
}

const O_EXCL = 0o200;

async function noIoctl(): Promise<Payload> {
  throw new DfsError('ENOTTY', 'no ioctl is known here');
}
