/** The requests about extended attributes. */
import { ACCESS_ACL, CAPABILITY, DEFAULT_ACL } from '../../protocol/attribute-names.js';
import { DfsError, hasCode } from '../../protocol/errors.js';
import type { Payload } from '../../protocol/frame.js';
import type { FileSystem } from '../../vfs/file-system.js';
import type { Callers } from './callers.js';
import type { KernelCache } from './kernel-cache.js';
import { done, nameOf, sized, type RequestHandler } from './replies.js';
import { checkFlags } from './request-flags.js';
import { fuseGetxattrIn, fuseSetxattrIn, fuseShortSetxattrIn } from './structs.js';
import { Opcode, readNames, SETXATTR_ACL_KILL_SETGID, type RequestHeader } from './wire.js';

/**
 * Where SELinux runs it asks no FUSE file system for labels, but gives all files of a mount the same (genfs_contexts of its
 * policies). Elsewhere only `ls -l` asks, of every file: unless the first answer is that there are none on this device
 * (getfilecon_cache in ls.c of coreutils).
 */
export const SELINUX_LABEL = Buffer.from('security.selinux');

export class XattrRequests {
  readonly #fileSystem: FileSystem;
  readonly #cache: KernelCache;
  readonly #callers: Callers;
  /** opcode → what answers it */
  readonly handlers: ReadonlyMap<number, RequestHandler>;
  /** FUSE_SETXATTR_EXT was negotiated. */
  hasLongSetxattr = false;

  constructor(fileSystem: FileSystem, cache: KernelCache, callers: Callers) {
    this.#fileSystem = fileSystem;
    this.#cache = cache;
    this.#callers = callers;
    this.handlers = new Map<number, RequestHandler>([
      [Opcode.getxattr, async (h, b) => await this.#getxattr(h, b)],
      [Opcode.listxattr, async (h, b) => await this.#listxattr(h, b)],
      [Opcode.setxattr, async (h, b) => await this.#setxattr(h, b)],
      [Opcode.removexattr, async (h, b) => await this.#removexattr(h, b)],
    ]);
  }

  async #getxattr(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const name = nameOf(readNames(bytes, 1, fuseGetxattrIn)[0]);
    this.#cache.overlay.sawAttribute(name);
    if (ACCESS_ACL.equals(name) || DEFAULT_ACL.equals(name)) this.#cache.noteAcl(header.inode);
    try {
      const value = await this.#callers.act(header, async files => await files.getxattr(header.inode, name));
      return sized(value, fuseGetxattrIn.body(bytes).size);
    } catch (error) {
      if (!SELINUX_LABEL.equals(name) || !hasCode(error, 'ENODATA')) throw error;
      throw new DfsError('EOPNOTSUPP', 'files of a mount have no SELinux label of their own');
    }
  }

  async #listxattr(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const names = await this.#callers.act(header, async files => await files.listxattr(header.inode));
    const list = Buffer.concat(names.flatMap(name => [name, Buffer.alloc(1)]));
    return sized(list, fuseGetxattrIn.body(bytes).size);
  }

  async #setxattr(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const struct = this.hasLongSetxattr ? fuseSetxattrIn : fuseShortSetxattrIn;
    const { size, flags: how } = struct.body(bytes);
    const [given] = readNames(bytes, 1, struct);
    const name = nameOf(given);
    this.#cache.overlay.sawAttribute(name);
    const at = struct.end + name.length + 1;
    if (bytes.length < at + size) {
      throw new DfsError('EINVAL', `the kernel sent ${bytes.length} bytes, too few for a value of ${size}`);
    }
    const value = Buffer.from(bytes.subarray(at, at + size));
    const flags = this.hasLongSetxattr ? fuseSetxattrIn.body(bytes).setxattrFlags : 0;
    checkFlags('setxattr_flags', flags);
    const strips = (flags & SETXATTR_ACL_KILL_SETGID) !== 0;
    const setting = this.#callers.act(
      header,
      async files => await files.setxattr(header.inode, name, value, how, strips),
    );
    return await done(setting);
  }

  async #removexattr(header: RequestHeader, bytes: Buffer): Promise<Payload> {
    const name = nameOf(readNames(bytes, 1)[0]);
    // The kernel itself takes it away, as the user who writes to the file (cap_inode_killpriv() in Linux).
    if (CAPABILITY.equals(name)) return await done(this.#fileSystem.removexattr(header.inode, name));
    const removing = this.#callers.act(header, async files => await files.removexattr(header.inode, name));
    return await done(removing);
  }
}
