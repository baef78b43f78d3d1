/** What one session may do that may not do everything, by its rule (exports.ts). */
import { ACCESS_ACL } from '../../protocol/attribute-names.js';
import type { Rights } from '../../protocol/export-commands.js';
import { ROOT_INODE } from '../../protocol/file-mode.js';
import { DfsError } from '../../protocol/errors.js';
import type { Caller } from '../../protocol/types.js';
import { claimedCaller, claimedOwner, mayClaimGid, mayClaimUid } from '../../rules/export-identities.js';
import { Access, accessRefusal } from '../../rules/permissions.js';
import { AclTag, decodeAcl, type Acl } from '../../rules/posix-acl.js';
import { checkAccess } from '../namespace/permissions.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';
import type { DirectoryParents } from './subtree.js';

/** What a session has opened, after the rules of permissions allowed it: inode → Access bits. Another process of the server knows nothing of it. */
export type CheckedOpens = Map<number, number>;

export class SessionRights {
  readonly told: Rights;
  readonly opens: CheckedOpens;
  /** Whether the session speaks for root, to whom nothing is refused. */
  readonly isRoot: boolean;
  /** Whether its client may change inodes before the server knows of it. */
  readonly mayDecide: boolean;
  /** False for those of a connection on which no session was begun. */
  readonly hasBegun: boolean;
  readonly #parents: DirectoryParents;

  /** @param client what is known of the client: that it heeds its rights, that it is of a version that does not, or nothing yet */
  constructor(
    told: Rights,
    opens: CheckedOpens,
    parents: DirectoryParents,
    client: 'heeds' | 'ignores' | 'unknown',
  ) {
    this.told = told;
    this.opens = opens;
    this.isRoot = mayClaimUid(told, 0);
    this.#parents = parents;
    this.hasBegun = client !== 'unknown';
    this.mayDecide = client === 'heeds' && !told.readOnly;
  }

  get isReadOnly(): boolean {
    return this.told.readOnly;
  }

  /** The directory of which `..` is the directory itself. */
  get root(): number {
    return this.told.root;
  }

  /** Whether the session may name the inode. One without a name it may if it had it open while there was one. */
  async reaches(tx: StoreTransaction, inode: number): Promise<boolean> {
    const { root } = this.told;
    return root === ROOT_INODE || this.opens.has(inode) || (await this.#parents.contains(tx, inode, root));
  }

  /** EACCES unless the session may name the inode; one that does not exist is for the operation to refuse. */
  async requireReach(tx: StoreTransaction, inode: number): Promise<void> {
    if (await this.reaches(tx, inode)) return;
    throw new DfsError('EACCES', `inode ${inode} lies outside of what this machine may mount`);
  }

  /** EROFS when the session may change nothing. */
  requireWritable(): void {
    if (this.isReadOnly)
      throw new DfsError('EROFS', 'this machine may mount this for reading only (dfs export list)');
  }

  /** Who asks, as far as the session's word counts; `caller` for a session of root that names nobody. */
  claimed(caller: Caller | undefined): Caller | undefined {
    if (this.isRoot && caller === undefined) return undefined;
    const { anonUid: uid, anonGid: gid } = this.told;
    return caller ? claimedCaller(this.told, caller) : { uid, gid, groups: [] };
  }

  owner(owner: { readonly uid: number; readonly gid: number }): {
    readonly uid: number;
    readonly gid: number;
  } {
    return claimedOwner(this.told, owner);
  }

  /** Whether the session speaks for the inode's owner. */
  isOwner({ uid }: Pick<InodeRecord, 'uid'>): boolean {
    return mayClaimUid(this.told, uid);
  }

  /**
   * EACCES unless the session opened the inode so, or the caller has every kind of access in `wanted` (Access bits).
   * @param caller undefined when a handle is used: then it may be anybody for whom the session speaks, since it could have named him
   */
  async checkContent(
    tx: StoreTransaction,
    inode: InodeRecord,
    caller: Caller | undefined,
    wanted: number,
  ): Promise<void> {
    if (((this.opens.get(inode.inode) ?? 0) & wanted) === wanted) return;
    if (caller) await checkAccess(tx, inode, caller, wanted);
    else if (!this.isOwner(inode))
      await checkAccess(tx, inode, await this.anybodyWith(tx, inode, wanted), wanted);
  }

  /** Whom of those for whom the session speaks the inode's mode and ACL give `wanted`; if none of them, any. */
  async anybodyWith(tx: StoreTransaction, inode: InodeRecord, wanted: number): Promise<Caller> {
    const value = await tx.xattrs.get(inode.inode, ACCESS_ACL);
    const acl = value && decodeAcl(value);
    const callers = this.#callersFor(inode, acl);
    const allowed = callers.find(each => accessRefusal(inode, each, wanted, acl) === undefined);
    return allowed ?? this.#anonymous;
  }

  get #anonymous(): Caller {
    return { uid: this.told.anonUid, gid: this.told.anonGid, groups: [] };
  }

  /** One of each class that permissions tell apart. */
  #callersFor({ uid, gid }: InodeRecord, acl: Acl | undefined): Caller[] {
    const { told } = this;
    const { anonUid, anonGid } = told;
    const callers: Caller[] = [this.#anonymous];
    if (mayClaimUid(told, uid)) callers.push({ uid, gid: anonGid, groups: [] });
    if (mayClaimGid(told, gid)) callers.push({ uid: anonUid, gid, groups: [] });
    for (const { tag, id } of acl ?? []) {
      if (tag === AclTag.user && mayClaimUid(told, id)) callers.push({ uid: id, gid: anonGid, groups: [] });
      if (tag === AclTag.group && mayClaimGid(told, id)) callers.push({ uid: anonUid, gid: id, groups: [] });
    }
    return callers;
  }

  /** The session has opened the inode, and `access` (Access bits) was allowed; what may be executed may be read for that. */
  noteOpen(inode: number, access: number): void {
    const more = (access & Access.execute) === 0 ? access : access | Access.read;
    this.opens.set(inode, (this.opens.get(inode) ?? 0) | more);
  }
}
