/** Caches above this one, such as the kernel's: what they may keep, and when they have to drop it. */
import { constants } from 'node:fs';
import type { AttributeCache } from '../client/caches/attribute-cache.js';
import type { Client } from '../client/client.js';
import type { CacheKeeper, CacheLease } from '../client/leases/cache-lease.js';
import type { AccessTimes } from './access-times.js';
import type { KeepingLease } from './file-system.js';
import type { OpenFiles } from './open-files.js';
import { accessMode } from './range-changes.js';

/** No version that a file has (the first is 1), so that its content counts as changed. */
const DISPLACED_VERSION = 0;

export interface CacheKeepersOptions extends Pick<Client, 'budget' | 'cacheSizes'> {
  readonly lease: CacheLease;
  readonly attributes: Pick<AttributeCache, 'get'>;
  /** Resolves when the lease has begun. */
  readonly beginCaching: () => Promise<void>;
  readonly files: Pick<OpenFiles, 'get' | 'present'>;
  /** Undefined when reading moves none. */
  readonly accessTimes: Pick<AccessTimes, 'isDue'> | undefined;
}

export class CacheKeepers {
  readonly #options: CacheKeepersOptions;
  readonly #keepers = new Set<CacheKeeper>();

  constructor(options: CacheKeepersOptions) {
    this.#options = options;
  }

  /** As FileSystem.keepCaches. */
  async begin(keeper: CacheKeeper): Promise<KeepingLease> {
    const { lease, budget, cacheSizes, files, beginCaching } = this.#options;
    lease.addKeeper(keeper);
    this.#keepers.add(keeper);
    budget.count('nodes', () => [...this.#keepers].reduce((sum, { usedBytes }) => sum + (usedBytes ?? 0), 0));
    try {
      await beginCaching();
    } catch (error) {
      this.end(keeper);
      throw error;
    }
    return {
      nodeBytes: cacheSizes.nodeBytes,
      ticket: () => lease.ticket(),
      mayKeepNames: (ticket, directory) => lease.mayKeep(ticket, directory),
      mayKeepAttributes: (ticket, inode) =>
        lease.mayKeep(ticket, inode) && files.get(inode)?.mayKeepShown() !== false,
      mayKeepContent: (ticket, inode, openFlags) =>
        lease.mayKeep(ticket, inode) && (isBlind(openFlags) || !this.#isAccessTimeDue(inode)),
      mayKeepListing: (ticket, directory) =>
        lease.mayKeep(ticket, directory) && !this.#isAccessTimeDue(directory),
    };
  }

  /** As FileSystem.endCaches. */
  end(keeper: CacheKeeper): void {
    this.#options.lease.removeKeeper(keeper);
    this.#keepers.delete(keeper);
  }

  /** Written bytes are not where they were shown: keepers drop what they have of the file. Never rejects. */
  async displaced(inode: number): Promise<void> {
    const inodes = [{ inode, version: DISPLACED_VERSION }];
    const lost = { inodes, names: [], directories: [], everything: false };
    await Promise.all([...this.#keepers].map(async keeper => await keeper.drop(lost)));
  }

  /** The inode's attributes are not those any more that `OpenFile.mayKeepShown` allowed to keep. Never rejects. */
  async landed(inode: number): Promise<void> {
    await Promise.all([...this.#keepers].map(async keeper => await keeper.dropAttributes?.(inode)));
  }

  #isAccessTimeDue(inode: number): boolean {
    const { accessTimes, files, attributes } = this.#options;
    if (!accessTimes) return false;
    const known = files.get(inode)?.attributes ?? attributes.get(inode);
    return known !== undefined && accessTimes.isDue(files.present(known));
  }
}

/** Whether a file that is opened so is not read, or its access time is not to move. */
function isBlind(openFlags: number): boolean {
  return accessMode(openFlags) === constants.O_WRONLY || (openFlags & constants.O_NOATIME) !== 0;
}
