/**
 * The extended attributes of inodes of which this client knows all that they have, under its lease
 * (client/leases/cache-lease.ts). A listing told that there are none, which saves `ls -l` several questions a file; or this client
 * gave them to an inode that it has to itself.
 */
import { LRUCache } from 'lru-cache';
import { ACCESS_ACL } from '../../protocol/attribute-names.js';
import type { Attributes, Caller } from '../../protocol/types.js';
import { isAclConsulted } from '../../rules/permissions.js';
import type { AttributeCache, AttributeTicket } from './attribute-cache.js';
import { LRU_ENTRY_BYTES } from './cache-budget.js';
import type { CacheKeeper, CacheLease, Revocation } from '../leases/cache-lease.js';

/** Attributes by their names, each byte of which is a character. */
export type Xattrs = ReadonlyMap<string, Buffer>;

const NONE: Xattrs = new Map();
/** What an attribute costs besides its name and its value. */
const XATTR_BYTES = 200;

/** The key of an attribute in Xattrs. */
export function xattrKey(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString('latin1');
}

/** The names of the attributes. */
export function xattrNames(all: Xattrs): Buffer[] {
  return [...all.keys()].map(key => Buffer.from(key, 'latin1'));
}

export class XattrCache implements CacheKeeper {
  readonly #lease: CacheLease;
  readonly #attributes: AttributeCache;
  readonly #all: LRUCache<number, Xattrs>;
  /** Inodes that were asked about, and had some; only worth knowing so that nobody asks for nothing again. */
  readonly #some: LRUCache<number, true>;

  /** @param maxBytes memory for what is kept; a quarter of it for inodes that have some, which are few */
  constructor(lease: CacheLease, attributes: AttributeCache, maxBytes: number) {
    this.#lease = lease;
    this.#all = new LRUCache({ maxSize: Math.ceil((maxBytes * 3) / 4), sizeCalculation: bytesOf });
    this.#some = new LRUCache({
      maxSize: Math.ceil(maxBytes / 4),
      sizeCalculation: () => LRU_ENTRY_BYTES,
    });
    this.#attributes = attributes;
  }

  /** What is kept costs so much memory. */
  get usedBytes(): number {
    return this.#all.calculatedSize + this.#some.calculatedSize;
  }

  /** All attributes of the inode; undefined when they are not known. */
  all(inode: number): Xattrs | undefined {
    return this.#lease.isAlive ? this.#all.get(inode) : undefined;
  }

  /** Whether the inode is known to have none of these. */
  lacks(inode: number, ...names: readonly Uint8Array[]): boolean {
    const all = this.all(inode);
    return all !== undefined && (all.size === 0 || !names.some(name => all.has(xattrKey(name))));
  }

  /** Whether the inode may have an access ACL that has a say in what the caller may do with it. */
  mayAclDecide(inode: Attributes, caller: Caller | undefined): boolean {
    return isAclConsulted(inode, caller) && !this.lacks(inode.inode, ACCESS_ACL);
  }

  /** A reply says that the inode has none. */
  none(ticket: AttributeTicket, inode: number): void {
    if (this.#attributes.mayKeep(ticket, inode)) this.#all.set(inode, NONE);
  }

  /** This client has decided that the inode has these, and no others. */
  decided(inode: number, all: Xattrs): void {
    this.#all.set(inode, all);
  }

  /** Whether it is worth asking if the inode has any. */
  isUnknown(inode: number): boolean {
    return this.#lease.isAlive && !this.#all.has(inode) && !this.#some.has(inode);
  }

  /** A reply says that the inode has some. */
  some(inode: number): void {
    this.#some.set(inode, true);
  }

  /** This client asks for one to be changed, or tries to. */
  changed(inode: number): void {
    this.#all.delete(inode);
  }

  async drop({ inodes }: Revocation): Promise<void> {
    for (const { inode } of inodes) {
      this.#all.delete(inode);
      this.#some.delete(inode);
    }
  }

  async dropAll(): Promise<void> {
    this.#all.clear();
    this.#some.clear();
  }
}

function bytesOf(all: Xattrs): number {
  let bytes = LRU_ENTRY_BYTES;
  for (const [name, value] of all) bytes += XATTR_BYTES + name.length + value.length;
  return bytes;
}
