/** What a kernel would keep of a mount: names, until they are revoked. */
import { Counts } from '../../src/platform/counts.js';
import { hasCode } from '../../src/protocol/errors.js';
import type { CacheKeeper, FileSystem, KeepingLease, Revocation } from '../../src/vfs/file-system.js';

export class KeptNames implements CacheKeeper {
  readonly #fileSystem: FileSystem;
  readonly #isIgnored: () => boolean;
  /** directory → name → inode, 0 for a name that is not there */
  readonly #directories = new Map<number, Map<string, number>>();
  /** directory → changes of ours in it, begun or ended */
  readonly #ownChanges = new Map<number, number>();
  /** directory → those that are under way: the kernel holds its lock, and no lookup leaves it a name meanwhile */
  readonly #locked = new Counts<number>();
  #lease: KeepingLease | undefined;

  /** @param isIgnored whether to ignore a revocation, as a faulty mount would */
  constructor(fileSystem: FileSystem, isIgnored: () => boolean = () => false) {
    this.#fileSystem = fileSystem;
    this.#isIgnored = isIgnored;
  }

  async begin(): Promise<void> {
    this.#lease = await this.#fileSystem.keepCaches(this);
  }

  async drop(revocation: Revocation): Promise<void> {
    if (this.#isIgnored()) return;
    for (const { parent, name } of revocation.names) {
      this.#directories.get(parent)?.delete(Buffer.from(name).toString());
    }
    for (const inode of revocation.directories) this.#directories.delete(inode);
    for (const { directory } of revocation.left ?? []) this.#directories.delete(directory);
  }

  async dropAll(): Promise<void> {
    this.#directories.clear();
  }

  /** The inode of a name, 0 when it is not there. Rejects as FileSystem.lookup does otherwise. */
  async find(directory: number, name: string): Promise<number> {
    const kept = this.#directories.get(directory)?.get(name);
    // A kernel would still answer for a mount that was stopped and is awake again, until the mount's timer makes it drop everything
    // (ARCHITECTURE.md, Known gaps).
    if (kept !== undefined && this.#lease?.mayKeepNames(this.#lease.ticket(), directory)) return kept;
    const ticket = this.#lease?.ticket() ?? 0;
    const changes = this.#ownChanges.get(directory) ?? 0;
    const inode = await this.#ask(directory, name);
    const isOvertaken = changes !== (this.#ownChanges.get(directory) ?? 0);
    if (!isOvertaken && !this.#locked.has(directory) && this.#lease?.mayKeepNames(ticket, directory)) {
      let names = this.#directories.get(directory);
      if (!names) this.#directories.set(directory, (names = new Map()));
      names.set(name, inode);
    }
    return inode;
  }

  /** Names in the directories are changed through this mount, whatever becomes of it. */
  async changing<Result>(directories: readonly number[], change: Promise<Result>): Promise<Result> {
    const forget = (): void => {
      for (const each of directories) {
        this.#directories.delete(each);
        this.#ownChanges.set(each, (this.#ownChanges.get(each) ?? 0) + 1);
      }
    };
    forget();
    for (const each of directories) this.#locked.add(each);
    try {
      return await change;
    } finally {
      for (const each of directories) this.#locked.take(each);
      forget();
    }
  }

  async #ask(directory: number, name: string): Promise<number> {
    try {
      return (await this.#fileSystem.lookup(directory, Buffer.from(name))).inode;
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return 0;
      throw error;
    }
  }
}
