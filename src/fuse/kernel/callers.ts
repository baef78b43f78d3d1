/** The file system as whoever made a request may use it. */
import { hasCode } from '../../protocol/errors.js';
import { MAX_CALLER_GROUPS } from '../../protocol/limits.js';
import type { PrivilegeLoss } from '../../protocol/types.js';
import type { FileSystem } from '../../vfs/file-system.js';
import { credentialsOf } from './credentials.js';
import type { KernelCache } from './kernel-cache.js';
import type { RequestHeader } from './wire.js';

export type Requester = Pick<RequestHeader, 'uid' | 'gid' | 'pid'>;

export class Callers {
  readonly #fileSystem: FileSystem;
  readonly #cache: Pick<KernelCache, 'lockingGroup'>;

  /** @param fileSystem as the client itself has it */
  constructor(fileSystem: FileSystem, cache: Pick<KernelCache, 'lockingGroup'>) {
    this.#fileSystem = fileSystem;
    this.#cache = cache;
  }

  /**
   * Does `work` with the file system as the requester has it. A request names one group and no capabilities: only when
   * they do not suffice are the others looked up, which is seldom, since the kernel has checked the same before
   * (`default_permissions`).
   */
  async act<Result>(
    requester: Requester,
    work: (fileSystem: FileSystem) => Promise<Result>,
  ): Promise<Result> {
    const { uid, gid } = requester;
    if (uid === 0 && !this.#fileSystem.rights) return await work(this.#fileSystem);
    try {
      return await work(this.#fileSystem.as({ uid, gid, groups: [] }));
    } catch (error) {
      if (!hasCode(error, 'EACCES', 'EPERM')) throw error;
      return await this.actKnowing(requester, work);
    }
  }

  /** The same, with all groups from the start: for what is done differently, rather than refused, when one is missing. */
  async actKnowing<Result>(
    { uid, gid, pid }: Requester,
    work: (fileSystem: FileSystem) => Promise<Result>,
  ): Promise<Result> {
    const credentials = uid === 0 ? undefined : await credentialsOf(pid);
    // Of a process that is not to be seen from here, only the kernel knows what it may; and it let it pass.
    const isCapable = !credentials || credentials.isCapable;
    // Where root is nobody in particular, its capabilities are none either.
    if (isCapable && !this.#fileSystem.rights) return await work(this.#fileSystem);
    const groups = credentials?.groups.slice(0, MAX_CALLER_GROUPS) ?? [];
    return await work(this.#fileSystem.as({ uid, gid, groups }));
  }

  /**
   * What a change of the inode by the requester takes away. Setgid without execution by the group stays only for the
   * group's members and for root (setattr_should_drop_sgid() in Linux), and who is one the kernel leaves to us to find
   * out.
   * @param kills the kernel says that the requester lacks CAP_FSETID
   */
  async privilegeLoss(
    { uid, gid, pid }: Requester,
    inode: number,
    kills: boolean,
  ): Promise<PrivilegeLoss | undefined> {
    if (!kills) return undefined;
    const group = this.#cache.lockingGroup(inode);
    if (group === undefined || uid === 0 || gid === group) return 'ordinary';
    const credentials = await credentialsOf(pid);
    return credentials?.groups.includes(group) === true ? 'ordinary' : 'all';
  }
}
