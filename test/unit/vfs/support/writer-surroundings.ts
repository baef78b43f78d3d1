/** What the writers of files share, around a client that the test plays. */
import pLimit from 'p-limit';
import type { Client } from '../../../../src/client/client.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { BlockPool } from '../../../../src/vfs/block-pool.js';
import { DirtyBudget } from '../../../../src/vfs/dirty-budget.js';
import { StoreGathering } from '../../../../src/vfs/store-gathering.js';
import type { WriterSurroundings } from '../../../../src/vfs/writer-surroundings.js';

const MIB = 1 << 20;

/** @param own what the test looks at itself */
export function surroundingsOf(client: Client, own: Partial<WriterSurroundings> = {}): WriterSurroundings {
  return {
    client,
    budget: new DirtyBudget(MIB, () => undefined),
    pool: new BlockPool(MIB),
    clock: systemClock,
    chunkBytes: MIB,
    timeoutMs: 1000,
    maxUnsyncedReplicas: 100,
    mayBuffer: () => true,
    storeLimit: pLimit(2),
    gathering: new StoreGathering(systemClock),
    onDisplaced: () => undefined,
    onLanded: () => undefined,
    onFailed: () => undefined,
    ...own,
  };
}
