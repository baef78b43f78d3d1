/** What the metadata server told of inodes and names, kept under the lease: the three caches, and what changes tell them. */
import { Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { Changed } from '../../protocol/session-commands.js';
import { Attributes } from '../../protocol/types.js';
import type { CacheLease } from '../leases/cache-lease.js';
import { AttributeCache, type AttributeTicket } from './attribute-cache.js';
import type { CacheSizes } from './cache-sizes.js';
import { NameCache } from './name-cache.js';
import { XattrCache } from './xattr-cache.js';

const changedCheck = TypeCompiler.Compile(Changed);
const attributesCheck = TypeCompiler.Compile(Type.Object({ attributes: Attributes }));

export class MetadataCaches {
  readonly #lease: CacheLease;
  readonly attributes: AttributeCache;
  readonly names: NameCache;
  readonly xattrs: XattrCache;

  constructor(lease: CacheLease, sizes: CacheSizes) {
    this.#lease = lease;
    this.attributes = new AttributeCache(lease, sizes.attributeBytes);
    lease.addKeeper(this.attributes);
    this.names = new NameCache(lease, sizes.nameBytes);
    lease.addKeeper(this.names);
    this.xattrs = new XattrCache(lease, this.attributes, sizes.xattrBytes);
    lease.addKeeper(this.xattrs);
  }

  /**
   * Takes over what the reply to a change says of the inodes that were changed.
   * @param ticket from before the request was sent
   */
  learnChanges(ticket: AttributeTicket, reply: unknown): void {
    if (!this.#lease.isWanted) return;
    if (!changedCheck.Check(reply)) {
      this.attributes.changeUnknown();
      return;
    }
    this.attributes.change(ticket, reply.changed, reply.gone);
    // A new inode is not among those that changed.
    if (attributesCheck.Check(reply)) this.attributes.keep(ticket, reply.attributes);
  }

  /** Changes that a program was told of are not done: nothing of what is kept is true for certain. */
  loseAll(): void {
    this.attributes.changeUnknown();
    this.names.forgetAll();
    void this.#lease.dropEverything();
  }
}
