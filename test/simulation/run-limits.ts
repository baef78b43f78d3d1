/** Limits that a run chooses from its seed: mostly the usual ones, else so small that the run meets them. */
import { AlignedBuffers } from '../../src/platform/aligned-buffers.js';
import type { DataNodeOptions } from '../../src/datanode/data-node.js';
import type { ClientLimits } from '../../src/client/client-limits.js';
import type { MetadataServiceOptions } from '../../src/metadata/metadata-service.js';
import type { SeededRandom } from './world/seeded-random.js';

export interface RunLimits {
  readonly server: Pick<
    MetadataServiceOptions,
    'exclusivePauseMs' | 'exclusiveBytes' | 'leaseBytes' | 'leaseMs' | 'grantLifetimeMs'
  >;
  readonly client: ClientLimits;
  readonly node: Pick<DataNodeOptions, 'minAlignedBytes' | 'buffers'>;
  readonly cacheBytes: number;
  readonly dirtyBytes: number;
}

/** How often a limit is not the usual one. */
const SMALL_CHANCE = 0.25;
const MIB = 1 << 20;

export function chooseLimits(random: SeededRandom): RunLimits {
  const small = (...limits: readonly number[]): number | undefined =>
    random.isChance(SMALL_CHANCE) ? random.pick(limits) : undefined;
  return {
    server: {
      // Short, so that inodes go to and fro as often as they can.
      exclusivePauseMs: random.pick([1, 20, 200, 1000]),
      exclusiveBytes: small(100, 2000),
      leaseBytes: small(500, 5000),
      // Longer than it takes to renew it.
      leaseMs: small(1500, 2500),
      // Long enough for one attempt to store a chunk, when all is well.
      grantLifetimeMs: small(200, 2000, 20_000),
    },
    client: {
      maxOpenInodes: small(8),
      maxBatch: small(1, 3),
      maxUnsyncedReplicas: small(1, 5),
      // Few files live long enough to be synced more often.
      syncsBeforeLog: 1,
    },
    node: {
      minAlignedBytes: small(1, 5000) ?? 20_000,
      // So that what is received lies in memory that is used again at once.
      buffers: new AlignedBuffers(small(0, 8192) ?? 256 << 10, small(1) ?? 512),
    },
    cacheBytes: small(16 << 10, 64 << 10) ?? MIB,
    dirtyBytes: small(64 << 10) ?? MIB,
  };
}
