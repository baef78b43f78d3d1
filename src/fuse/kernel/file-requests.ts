/** The requests that are made by file handle, and those that open one. */
import type { Logger } from '../../platform/log.js';
import type { Loans } from '../../platform/loans.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import { CAPABILITY } from '../../protocol/attribute-names.js';
import type { Payload } from '../../protocol/frame.js';
import type { FileSystem } from '../../vfs/file-system.js';
import type { Callers } from './callers.js';
import type { KernelCache } from './kernel-cache.js';
import { encodeLock, ownerOf, readLock } from './locks.js';
import { done, NOTHING, openOut, sizeOf, writeOut, type RequestHandler } from './replies.js';
import { checkFlags } from './request-flags.js';
import {
  fuseCopyFileRangeIn,
  fuseFallocateIn,
  fuseFlushIn,
  fuseFsyncIn,
  fuseLseekIn,
  fuseLseekOut,
  fuseOpenIn,
  fuseReadIn,
  fuseReleaseIn,
  fuseWriteIn,
} from './structs.js';
import {
  Opcode,
  OPEN_KILL_PRIVILEGES,
  OpenFlag,
  READ_LOCKOWNER,
  RELEASE_FLOCK_UNLOCK,
  WRITE_KILL_PRIVILEGES,
  WRITE_LOCKOWNER,
  type RequestHeader,
} from './wire.js';

const O_APPEND = 0o2000;
const O_DSYNC = 0o10000;
/** lseek(2)'s whence. */
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const MAX_COPY_BYTES = 0x7fff_f000;

export class FileRequests {
  readonly #fileSystem: FileSystem;
  readonly #cache: KernelCache;
  readonly #callers: Callers;
  readonly #log: Logger;
  /** Handles of which the kernel keeps no pages. */
  readonly #pageless = new Set<number>();
  /** opcode → what answers it */
  readonly handlers: ReadonlyMap<number, RequestHandler>;

  constructor(fileSystem: FileSystem, cache: KernelCache, callers: Callers, log: Logger) {
    this.#log = log;
    this.#fileSystem = fileSystem;
    this.#cache = cache;
    this.#callers = callers;
    this.handlers = new Map<number, RequestHandler>([
      [Opcode.open, async (h, b) => await this.#open(h, b)],
      [Opcode.read, async (h, b, _, loans) => await this.#read(h, b, loans)],
      [Opcode.write, async (h, b) => await this.#write(h, b)],
      [Opcode.lseek, async (_, b) => await this.#lseek(b)],
      [Opcode.fallocate, async (h, b) => await this.#fallocate(h, b)],
      [Opcode.copyFileRange, async (h, b) => await this.#copyFileRange(h, b)],
      [Opcode.flush, async (_, b) => await this.#flush(b)],
      [Opcode.fsync, async (_, b) => await this.#fsync(b)],
      [Opcode.release, async (_, b) => this.release(b)],
      [Opcode.getlk, async (_, b) => await this.#getlk(b)],
      [Opcode.setlk, async (h, b, signal) => await this.#setlk(h, b, false, signal)],
      [Opcode.setlkw, async (h, b, signal) => await this.#setlk(h, b, true, signal)],
    ]);
  }

  /** Handles of which the kernel keeps no pages, for a successor of this process. */
  get pageless(): number[] {
    return [...this.#pageless];
  }

  /** Whether the kernel keeps no pages of a handle. */
  isPageless(handle: number): boolean {
    return this.#pageless.has(handle);
  }

  restore(pageless: readonly number[]): void {
    for (const handle of pageless) this.#pageless.add(handle);
  }

  async #open(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const { inode } = header;
    const ticket = this.#cache.ticket();
    const { flags, openFlags } = fuseOpenIn.body(bytes);
    checkFlags('open_flags', openFlags);
    const kills = (openFlags & OPEN_KILL_PRIVILEGES) !== 0;
    const loss = await this.#callers.privilegeLoss(header, inode, kills);
    const opening = this.#callers.act(header, async files => await files.open(inode, flags, loss));
    const handle = await opening.catch((error: unknown) => {
      // Removed or renamed over since it was looked up. On ESTALE the kernel walks the path once more, and so finds the
      // new file; POSIX rename(): a link named new remains visible throughout.
      throw hasCode(error, 'ENOENT') ? new DfsError('ESTALE', 'the file was removed meanwhile') : error;
    });
    if (loss) await this.#cache.dropPrivileges(inode);
    const pages = this.#cache.openFlags(ticket, inode, flags);
    if (pages === OpenFlag.directIo) this.#pageless.add(handle);
    return [openOut(handle, pages)];
  }

  async #read({ inode }: RequestHeader, bytes: Buffer, loans: Loans | undefined): Promise<Payload> {
    const { fh, offset, size, readFlags } = fuseReadIn.body(bytes);
    checkFlags('read_flags', readFlags);
    if ((readFlags & READ_LOCKOWNER) === 0) this.#cache.notePages(inode);
    return await this.#fileSystem.read(fh, offset, size, loans);
  }

  async #write(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const request = fuseWriteIn.body(bytes);
    checkFlags('write_flags', request.writeFlags);
    if ((request.writeFlags & WRITE_LOCKOWNER) !== 0) return await this.#writeNow(header, bytes, request);
    this.#cache.enterWrite(header.inode);
    try {
      return await this.#writeNow(header, bytes, request);
    } finally {
      this.#cache.leaveWrite(header.inode);
    }
  }

  async #writeNow(
    header: RequestHeader,
    bytes: Buffer,
    { fh, offset: given, size, writeFlags, flags }: ReturnType<typeof fuseWriteIn.body>,
  ): Promise<Payload> {
    const data = bytes.subarray(fuseWriteIn.end, fuseWriteIn.end + size);
    const offset = sizeOf(given);
    // A page that is written back late has its place; its request has no flags of open(2).
    const isAppend = (flags & O_APPEND) !== 0;
    const isDirect = (writeFlags & WRITE_LOCKOWNER) !== 0;
    const kills = (writeFlags & WRITE_KILL_PRIVILEGES) !== 0;
    const privilegeLoss = kills ? await this.#callers.privilegeLoss(header, header.inode, kills) : undefined;
    const options = { isAppend, privilegeLoss };
    const isPageless = this.#pageless.has(fh);
    if (isPageless) await this.#dropCapability(header.inode);
    const written = await this.#fileSystem.write(fh, offset, data, options);
    if (privilegeLoss) await this.#cache.dropPrivileges(header.inode);
    if (isDirect) await this.#cache.dropWritten(header.inode, offset, written);
    // O_SYNC contains O_DSYNC. The kernel asks for FSYNC itself where it has pages (fuse_cache_write_iter), and only there.
    if (isPageless && (flags & O_DSYNC) !== 0) await this.#fileSystem.fsync(fh);
    return [writeOut(written)];
  }

  /** What the kernel does itself before it writes to a page (file_remove_privs). */
  async #dropCapability(inode: number): Promise<void> {
    try {
      await this.#fileSystem.getxattr(inode, CAPABILITY);
    } catch (error) {
      if (hasCode(error, 'ENODATA')) return;
      throw error;
    }
    await this.#fileSystem.removexattr(inode, CAPABILITY);
  }

  /** The other kinds of lseek(2) the kernel answers itself. */
  async #lseek(bytes: Buffer): Promise<Payload> {
    const { fh, offset, whence } = fuseLseekIn.body(bytes);
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) {
      throw new DfsError('EINVAL', 'lseek(2) asks for data or for holes');
    }
    // A negative one arrives as a very large one.
    if (!Number.isSafeInteger(offset)) throw new DfsError('ENXIO', 'the offset is beyond every file');
    const wanted = whence === SEEK_DATA ? 'data' : 'hole';
    return [fuseLseekOut.encode({ offset: await this.#fileSystem.seek(fh, offset, wanted) })];
  }

  async #fallocate(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const { fh, offset, length, mode } = fuseFallocateIn.body(bytes);
    // No flag tells here what the kernel leaves to us (fuse_file_fallocate, FUSE_HANDLE_KILLPRIV_V2).
    const loss = await this.#callers.privilegeLoss(header, header.inode, header.uid !== 0);
    await this.#fileSystem.fallocate(fh, mode, sizeOf(offset), sizeOf(length), loss);
    if (loss) await this.#cache.dropPrivileges(header.inode);
    return NOTHING;
  }

  async #copyFileRange(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const { fhIn, offIn, nodeidOut, fhOut, offOut, len, flags } = fuseCopyFileRangeIn.body(bytes);
    checkFlags('copy_file_range flags', Number(flags >> 32n) | Number(flags & 0xffff_ffffn));
    // The answer has 32 bits for the count.
    const wanted = Math.min(sizeOf(len), MAX_COPY_BYTES);
    const [offset, targetOffset] = [sizeOf(offIn), sizeOf(offOut)];
    const loss = await this.#callers.privilegeLoss(header, nodeidOut, header.uid !== 0);
    const copied = await this.#fileSystem.copyRange(fhIn, offset, fhOut, targetOffset, wanted, loss);
    if (loss) await this.#cache.dropPrivileges(nodeidOut);
    return [writeOut(copied)];
  }

  async #flush(bytes: Buffer): Promise<Payload> {
    const { fh, lockOwner } = fuseFlushIn.body(bytes);
    return await done(this.#fileSystem.flush(fh, ownerOf(lockOwner)));
  }

  async #fsync(bytes: Buffer): Promise<Payload> {
    const { fh, fsyncFlags } = fuseFsyncIn.body(bytes);
    checkFlags('fsync_flags', fsyncFlags);
    return await done(this.#fileSystem.fsync(fh));
  }

  /**
   * RELEASE. Nobody waits for the answer, and nobody is told what it says (fuse_file_put). So it is given at once: the kernel has few
   * such requests under way at a time, and the file system remembers what went wrong for who opens the file next.
   */
  release(bytes: Buffer): Payload {
    const { fh, releaseFlags, lockOwner } = fuseReleaseIn.body(bytes);
    const owner = (releaseFlags & RELEASE_FLOCK_UNLOCK) === 0 ? undefined : ownerOf(lockOwner);
    this.#pageless.delete(fh);
    this.#fileSystem.release(fh, owner).catch((error: unknown) => {
      this.#log.debug({ reason: toDfsError(error).message }, 'a file was not given back in order');
    });
    return [];
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
}
