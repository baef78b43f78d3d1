/**
 * The requests that make a small file, and those that ask for what is known, answered at once (ImmediateAnswers in
 * vfs/file-system.ts): without a promise, and so without the queue of what is to be done next. Each of them is answered in the
 * ordinary way, too (requests.ts, file-requests.ts, xattr-requests.ts), when it has to wait.
 */
import { constants } from 'node:fs';
import { ACCESS_ACL, CAPABILITY, DEFAULT_ACL } from '../../protocol/attribute-names.js';
import { ERRNO } from '../../protocol/errors.js';
import { PERMISSION_BITS } from '../../protocol/file-mode.js';
import type { Payload } from '../../protocol/frame.js';
import type { Attributes } from '../../protocol/types.js';
import type { FileSystem, ImmediateAnswers } from '../../vfs/file-system.js';
import { encodeAttr, encodeEntry, encodeNoEntry } from './attributes.js';
import type { DirectoryRequests } from './directory-requests.js';
import type { FileRequests } from './file-requests.js';
import type { KernelCache } from './kernel-cache.js';
import { ownerOf } from './locks.js';
import { isDotName } from './numbered-inodes.js';
import { nameOf, NOTHING, openOut, sizeOf, writeOut } from './replies.js';
import { checkFlags } from './request-flags.js';
import { fuseCreateIn, fuseFlushIn, fuseGetattrIn, fuseGetxattrIn, fuseWriteIn } from './structs.js';
import { Opcode, readNames, WRITE_KILL_PRIVILEGES, WRITE_LOCKOWNER, type RequestHeader } from './wire.js';
import { SELINUX_LABEL } from './xattr-requests.js';

/** What is answered: a payload or an errno; undefined when the request has to wait, and nothing has changed. */
type Answer = Payload | number | undefined;

export interface ImmediateRequestsOptions {
  readonly fileSystem: Pick<FileSystem, 'immediate'>;
  readonly cache: KernelCache;
  readonly files: Pick<FileRequests, 'isPageless' | 'release'>;
  readonly directories: Pick<DirectoryRequests, 'lookedUp' | 'opendir' | 'readdirNow' | 'releasedir'>;
}

export class ImmediateRequests {
  readonly #cache: KernelCache;
  readonly #known: ImmediateAnswers | undefined;
  readonly #files: ImmediateRequestsOptions['files'];
  readonly #directories: ImmediateRequestsOptions['directories'];

  constructor({ fileSystem, cache, files, directories }: ImmediateRequestsOptions) {
    this.#cache = cache;
    this.#known = fileSystem.immediate;
    this.#files = files;
    this.#directories = directories;
  }

  /**
   * The answer to a request, if it can be given at once. `bytes` is the whole request.
   * @throws what the request is refused with
   */
  answer(header: RequestHeader, bytes: Buffer): Answer {
    const known = this.#known;
    if (header.opcode === Opcode.release) return this.#files.release(bytes);
    if (!known) return undefined;
    switch (header.opcode) {
      case Opcode.opendir:
        return this.#directories.opendir(header, bytes);
      case Opcode.readdir:
        return this.#directories.readdirNow(header, bytes, false);
      case Opcode.readdirplus:
        return this.#directories.readdirNow(header, bytes, true);
      case Opcode.releasedir:
        return this.#directories.releasedir(bytes);
      case Opcode.lookup:
        return this.#lookup(known, header, bytes);
      case Opcode.getattr:
        return this.#getattr(known, header, bytes);
      case Opcode.getxattr:
        return this.#getxattr(known, header, bytes);
      case Opcode.create:
        return this.#create(known, header, bytes);
      case Opcode.write:
        return this.#write(known, header, bytes);
      case Opcode.flush: {
        const { fh, lockOwner } = fuseFlushIn.body(bytes);
        return known.flush(fh, ownerOf(lockOwner)) ? NOTHING : undefined;
      }
      default:
        return undefined;
    }
  }

  #lookup(known: ImmediateAnswers, header: RequestHeader, bytes: Buffer): Answer {
    const { inode } = header;
    const ticket = this.#cache.ticket();
    const name = nameOf(readNames(bytes, 1)[0]);
    if (isDotName(name)) return undefined;
    const found = known.lookup(inode, name);
    if (found === undefined) return undefined;
    this.#directories.lookedUp(header);
    if (found !== 'absent') return [entryOf(this.#cache, ticket, inode, found)];
    const keptMs = this.#cache.nameMs(ticket, inode, true);
    return keptMs > 0 ? [encodeNoEntry(keptMs)] : ERRNO.ENOENT;
  }

  #getattr(known: ImmediateAnswers, { inode }: RequestHeader, bytes: Buffer): Answer {
    checkFlags('getattr_flags', fuseGetattrIn.body(bytes).getattrFlags);
    const ticket = this.#cache.ticket();
    const attributes = known.getattr(inode);
    return attributes && [encodeAttr(attributes, this.#cache.attributesMs(ticket, attributes))];
  }

  #getxattr(known: ImmediateAnswers, { inode }: RequestHeader, bytes: Buffer): Answer {
    const name = nameOf(readNames(bytes, 1, fuseGetxattrIn)[0]);
    if (!known.lacksXattr(inode, name)) return undefined;
    // The one that is asked for before each write means nothing else.
    if (CAPABILITY.equals(name)) return ERRNO.ENODATA;
    this.#cache.overlay.sawAttribute(name);
    if (ACCESS_ACL.equals(name) || DEFAULT_ACL.equals(name)) this.#cache.noteAcl(inode);
    return SELINUX_LABEL.equals(name) ? ERRNO.EOPNOTSUPP : ERRNO.ENODATA;
  }

  #create(known: ImmediateAnswers, { inode, uid, gid }: RequestHeader, bytes: Buffer): Answer {
    const ticket = this.#cache.ticket();
    const { flags, mode, umask, openFlags } = fuseCreateIn.body(bytes);
    checkFlags('open_flags', openFlags);
    const name = nameOf(readNames(bytes, 1, fuseCreateIn)[0]);
    const creation = { mode: mode & PERMISSION_BITS, umask, uid, gid };
    const caller = uid === 0 ? undefined : { uid, gid, groups: [] };
    const created = known.create(inode, name, creation, flags, caller);
    if (!created) return undefined;
    this.#cache.listingChanges(inode);
    return [entryOf(this.#cache, ticket, inode, created.attributes), openOut(created.handle, 0)];
  }

  #write(known: ImmediateAnswers, { inode }: RequestHeader, bytes: Buffer): Answer {
    const { fh, offset, size, writeFlags, flags } = fuseWriteIn.body(bytes);
    checkFlags('write_flags', writeFlags);
    const isDirect = (writeFlags & WRITE_LOCKOWNER) !== 0;
    const isAppend = (flags & constants.O_APPEND) !== 0;
    if ((writeFlags & WRITE_KILL_PRIVILEGES) !== 0) return undefined;
    if (isDirect ? !this.#mayPassPages(known, inode, fh, flags) : this.#files.isPageless(fh))
      return undefined;
    const data = bytes.subarray(fuseWriteIn.end, fuseWriteIn.end + size);
    if (!isDirect) this.#cache.enterWrite(inode);
    try {
      return known.write(fh, sizeOf(offset), data, isAppend) ? [writeOut(data.length)] : undefined;
    } finally {
      if (!isDirect) this.#cache.leaveWrite(inode);
    }
  }

  /** Whether a write past the kernel's pages is nothing but that: no pages are to be dropped after it, and no capability before. */
  #mayPassPages(known: ImmediateAnswers, inode: number, handle: number, flags: number): boolean {
    if (this.#cache.mayHavePages(inode)) return false;
    if (!this.#files.isPageless(handle)) return true;
    // O_SYNC contains O_DSYNC, which waits for the disks.
    return (flags & constants.O_DSYNC) === 0 && known.lacksXattr(inode, CAPABILITY);
  }
}

/** fuse_entry_out for a name in `directory`, believed as long as the lease allows. */
export function entryOf(
  cache: KernelCache,
  ticket: number,
  directory: number,
  attributes: Attributes,
): Buffer {
  cache.noteLookup(attributes);
  return encodeEntry(attributes, cache.entryTimes(ticket, directory, attributes));
}
