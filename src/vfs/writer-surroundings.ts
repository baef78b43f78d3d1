/** What the writers of all files share, and what each needs of the file that owns it. */
import pLimit, { type LimitFunction } from 'p-limit';
import type { Client } from '../client/client.js';
import type { ExtentMap } from '../client/content/extent-map.js';
import type { ReadableChunk } from '../client/content/readable-chunk.js';
import type { Clock } from '../platform/clock.js';
import type { DfsError } from '../protocol/errors.js';
import type { Attributes, Extent } from '../protocol/types.js';
import { BlockPool } from './block-pool.js';
import { DirtyBudget } from './dirty-budget.js';
import { StoreGathering } from './store-gathering.js';
import type { VfsOptions } from './vfs-options.js';

/** Chunks being stored at once: enough to keep every node and both directions of the network busy. */
const STORES_AT_ONCE = 8;
const MAX_UNSYNCED_REPLICAS = 8192;

/** What all writers of a client share. */
export interface WriterSurroundings {
  readonly client: Client;
  readonly budget: DirtyBudget;
  readonly pool: BlockPool;
  readonly clock: Clock;
  readonly chunkBytes: number;
  /** Replicas of one file not known to be on stable storage, beyond which the owner is asked to see to it. */
  readonly maxUnsyncedReplicas: number;
  /** How long an operation waits for absent servers before it fails with EIO. */
  readonly timeoutMs: number;
  /**
   * Whether a write of the file may be acknowledged before the server has it, because nobody else uses the file; else it is
   * written through.
   */
  readonly mayBuffer: (inode: number) => boolean;
  /** Bounds how many chunks are being stored at once. */
  readonly storeLimit: LimitFunction;
  /** What small chunks that nobody waits for wait for. */
  readonly gathering: StoreGathering;
  /** Told of an inode whose written bytes are not where they were shown: not stored, or behind what others appended. */
  readonly onDisplaced: (inode: number) => void;
  /** Told of an inode whose attributes are not what `OpenFile.mayKeepShown` allowed to keep any more. */
  readonly onLanded: (inode: number) => void;
  /** Told of an inode of which what was written is not stored, whether or not it is still open. */
  readonly onFailed: (inode: number, reason: DfsError) => void;
}

/** Who is told that a file is not as it was shown. */
export type ShownChanges = Pick<WriterSurroundings, 'onDisplaced' | 'onLanded'>;

/** The owner of a writer. */
export interface WriterOwner {
  /** What is known of the file's extents. */
  readonly extents: ExtentMap;
  /** Replicas that the file should have. */
  readonly goal: () => number;
  /**
   * Called for each commit before its bytes leave the overlay. `extents` are sorted. `isMoved`: others had appended in
   * between, so they are elsewhere than was thought.
   */
  committed(
    attributes: Attributes,
    extents: readonly Extent[],
    chunks: readonly ReadableChunk[],
    isMoved: boolean,
  ): void;
  failed(error: DfsError): void;
  /** Some of what was pending no longer is: committed, or failed. */
  landed(): void;
  /** What `committed` told is not so: the server refused it, and it is written again. */
  uncommitted(): void;
  /** So much was stored without an fsync that it becomes a burden to know what. */
  hasMuchUnsynced(): void;
}

/**
 * What the writers of one client share.
 * @param files `onPressure`: asked to begin storing everything, because somebody waits for room
 */
export function surroundingsOf(
  client: Client,
  { clock, chunkBytes, dirtyBytes, timeoutMs, limits }: VfsOptions,
  files: Pick<WriterSurroundings, 'mayBuffer' | 'onFailed'> &
    ShownChanges & {
      readonly onPressure: () => void;
    },
): WriterSurroundings {
  const { onPressure, ...rest } = files;
  return {
    client,
    clock,
    chunkBytes,
    timeoutMs,
    maxUnsyncedReplicas: limits?.maxUnsyncedReplicas ?? MAX_UNSYNCED_REPLICAS,
    budget: new DirtyBudget(dirtyBytes, onPressure),
    pool: new BlockPool(dirtyBytes),
    storeLimit: pLimit(STORES_AT_ONCE),
    gathering: new StoreGathering(clock),
    ...rest,
  };
}
