/** The locks that this client was given and has not given back, which the metadata server forgets when it restarts. */
import { withRange, type LockRange } from '../../protocol/lock-ranges.js';
import { MAX_FILE_BYTES } from '../../protocol/limits.js';
import type { Lock, LockKind } from '../../protocol/types.js';

interface Held {
  readonly inode: number;
  readonly kind: LockKind;
  readonly owner: string;
  readonly pid: number;
  readonly ranges: LockRange[];
}

export class HeldLocks {
  /** inode → kind and owner → what is locked */
  readonly #inodes = new Map<number, Map<string, Held>>();

  /** Takes over a lock that was granted, in place of what the owner had locked there. */
  add({ inode, kind, owner, pid, start, end, type }: Lock): void {
    const old = this.#inodes.get(inode)?.get(keyOf(kind, owner));
    this.#set({ inode, kind, owner, pid, ranges: withRange(old?.ranges ?? [], start, end, type) });
  }

  /** Takes out a range; returns whether anything of it was there. */
  remove(inode: number, kind: LockKind, owner: string, start = 0, end = MAX_FILE_BYTES): boolean {
    const old = this.#inodes.get(inode)?.get(keyOf(kind, owner));
    if (!old?.ranges.some(range => range.start <= end && range.end >= start)) return false;
    this.#set({ ...old, ranges: withRange(old.ranges, start, end, 'unlock') });
    return true;
  }

  /** The type of the flock of an owner. */
  flockType(inode: number, owner: string): LockRange['type'] | undefined {
    return this.#inodes.get(inode)?.get(keyOf('flock', owner))?.ranges[0]?.type;
  }

  /** Who has locked something of an inode. */
  owners(inode: number): { readonly kind: LockKind; readonly owner: string }[] {
    return [...(this.#inodes.get(inode)?.values() ?? [])];
  }

  all(): Lock[] {
    const locks: Lock[] = [];
    for (const owners of this.#inodes.values()) {
      for (const { inode, kind, owner, pid, ranges } of owners.values()) {
        for (const { type, start, end } of ranges) locks.push({ inode, kind, owner, type, start, end, pid });
      }
    }
    return locks;
  }

  /** Forgets everything; returns the inodes on which something was locked. */
  clear(): number[] {
    const inodes = [...this.#inodes.keys()];
    this.#inodes.clear();
    return inodes;
  }

  #set(held: Held): void {
    const owners = this.#inodes.get(held.inode) ?? new Map<string, Held>();
    const key = keyOf(held.kind, held.owner);
    if (held.ranges.length > 0) owners.set(key, held);
    else owners.delete(key);
    if (owners.size > 0) this.#inodes.set(held.inode, owners);
    else this.#inodes.delete(held.inode);
  }
}

function keyOf(kind: LockKind, owner: string): string {
  return `${kind} ${owner}`;
}
