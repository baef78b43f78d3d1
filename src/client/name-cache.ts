/**
 * Directories of which this client knows every name, because it made them, under its lease (client/cache-lease.ts). A
 * name that is not among them is not there, which nobody need be asked: whoever unpacks a tree looks up each name
 * before he creates it.
 */
import { LRUCache } from 'lru-cache';
import { MAX_NAME_BYTES } from '../protocol/limits.js';
import type { CacheKeeper, CacheLease, Revocation } from './cache-lease.js';

/** Names kept in all directories together. */
const MAX_NAMES = 262_144;

/** name (its bytes as latin1) → inode */
type Names = Map<string, number>;

export class NameCache implements CacheKeeper {
  readonly #lease: CacheLease;
  /** directory → every name in it */
  readonly #directories = new LRUCache<number, Names>({
    maxSize: MAX_NAMES,
    sizeCalculation: names => names.size + 1,
  });

  constructor(lease: CacheLease) {
    this.#lease = lease;
  }

  /** The inode that the name leads to; 0 when there is none; undefined when that is not known here. */
  find(directory: number, name: Uint8Array): number | undefined {
    // A name that no directory can have is for the server to refuse.
    if (!this.#lease.isAlive || name.length > MAX_NAME_BYTES) return undefined;
    const names = this.#directories.get(directory);
    return names && (names.get(keyOf(name)) ?? 0);
  }

  /**
   * This client created the directory; it is empty.
   * @param ticket the lease's, from before the request
   */
  created(ticket: number, directory: number): void {
    if (this.#lease.mayKeep(ticket, directory)) this.#directories.set(directory, new Map());
  }

  /** This client made the name lead to the inode. */
  linked(directory: number, name: Uint8Array, inode: number): void {
    const names = this.#directories.get(directory);
    if (!names) return;
    names.set(keyOf(name), inode);
    // Counted in steps, since each time the cache is told costs as much as the name itself.
    if ((names.size & 0xff) === 0) this.#directories.set(directory, names);
  }

  /** This client removed the name. */
  unlinked(directory: number, name: Uint8Array): void {
    this.#directories.get(directory)?.delete(keyOf(name));
  }

  /** A change by this client failed, or the directory is gone: nothing is known of its names. */
  forget(directory: number): void {
    this.#directories.delete(directory);
  }

  async drop({ names, directories }: Revocation): Promise<void> {
    for (const { parent } of names) this.#directories.delete(parent);
    for (const directory of directories) this.#directories.delete(directory);
  }

  async dropAll(): Promise<void> {
    this.#directories.clear();
  }
}

function keyOf(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString('latin1');
}
