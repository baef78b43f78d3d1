/** The caches of attributes, names, extended attributes and targets of links, which the lease keeps true; replies to changes update them. */
import { Type } from '@sinclair/typebox';
import { Changed } from '../../protocol/session-commands.js';
import { ShapeCheck } from '../../protocol/shape-check.js';
import { Attributes } from '../../protocol/types.js';
import type { CacheLease } from '../leases/cache-lease.js';
import { AttributeCache, type AttributeTicket } from './attribute-cache.js';
import type { CacheSizes } from './cache-sizes.js';
import { LinkTargets } from './link-targets.js';
import { NameCache } from './name-cache.js';
import { XattrCache } from './xattr-cache.js';

const changedCheck = new ShapeCheck(Changed);
const attributesCheck = new ShapeCheck(Type.Object({ attributes: Attributes }));

export class MetadataCaches {
  readonly #lease: CacheLease;
  readonly attributes: AttributeCache;
  readonly names: NameCache;
  readonly xattrs: XattrCache;
  readonly targets: LinkTargets;

  constructor(lease: CacheLease, sizes: CacheSizes) {
    this.#lease = lease;
    this.attributes = new AttributeCache(lease, sizes.attributeBytes);
    lease.addKeeper(this.attributes);
    this.names = new NameCache(lease, sizes.nameBytes);
    lease.addKeeper(this.names);
    this.xattrs = new XattrCache(lease, this.attributes, sizes.xattrBytes);
    lease.addKeeper(this.xattrs);
    this.targets = new LinkTargets(lease, sizes.targetBytes);
    lease.addKeeper(this.targets);
  }

  /**
   * Takes over what the reply to a change says of the inodes that were changed.
   * @param ticket from before the request was sent
   * @param told what the reply says of them (`changedTold`)
   */
  learnChanges(ticket: AttributeTicket, reply: unknown, told: Changed | undefined): void {
    if (!this.#lease.isWanted) return;
    if (!told) {
      this.attributes.changeUnknown();
      return;
    }
    this.attributes.change(ticket, told.changed, told.gone);
    // A new inode is not among those that changed.
    if (attributesCheck.accepts(reply)) this.attributes.keep(ticket, reply.attributes);
  }

  /** Acknowledged changes are not done: no entry of the caches is true for certain. */
  loseAll(): void {
    this.attributes.changeUnknown();
    this.names.forgetAll();
    void this.#lease.dropEverything();
  }
}

/** What the server says that a request has changed; undefined when it does not say. */
export function changedTold(reply: unknown): Changed | undefined {
  return changedCheck.accepts(reply) ? reply : undefined;
}
