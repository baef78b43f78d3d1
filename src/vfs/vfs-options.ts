/** How a client of DFS is set up. */
import type { OnMisprediction } from '../client/log/foretold-changes.js';
import type { ClientLimits } from '../client/client-limits.js';
import type { Clock } from '../platform/clock.js';
import type { LocalFiles } from '../platform/local-files.js';
import type { Logger } from '../platform/log.js';
import type { Endpoint, Network } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import type { FileSystemState } from '../protocol/take-over.js';
import type { Caller } from '../protocol/types.js';
import type { Role } from '../protocol/roles.js';
import type { Keyring } from '../rpc/keyring.js';

/** By mount(8). */
export const ATIME_RULES = ['noatime', 'relatime'] as const;
export type AtimeRule = (typeof ATIME_RULES)[number];

export interface VfsOptions {
  readonly metadata: Endpoint;
  readonly keys: Keyring;
  /** What it is to the servers: a client, or an administrator. */
  readonly role: Role;
  /** Replicas of new files in directories that do not say how many. */
  readonly goal: number;
  /**
   * A write counts when so many data nodes have it, or as many as the file's goal says if that is fewer. Left out: when
   * the goal is reached, or every live node with room has it.
   */
  readonly minReplicas?: number | undefined;
  /** How long an operation waits for absent servers before it fails with EIO. */
  readonly timeoutMs: number;
  /** The most written data that is not yet stored. */
  readonly dirtyBytes: number;
  /** Memory for what is kept to be read, or told, again (client/caches/cache-sizes.ts). */
  readonly cacheBytes: number;
  /** How far ahead of a sequential reader is read; 0 turns read-ahead off. */
  readonly readAheadBytes: number;
  readonly chunkBytes: number;
  /** Whether reading moves access times, and by which rule (mount(8)); not at all when left out. */
  readonly atime?: AtimeRule | undefined;
  /** Every change is refused with EROFS. */
  readonly readOnly?: boolean | undefined;
  /** For whom requests are made unless FileSystem.as says otherwise; for the client itself when left out. */
  readonly caller?: Caller | undefined;
  /** What an earlier process had open, in its session; nothing, and a new session, when left out. */
  readonly taken?: FileSystemState | undefined;
  /** As in ClientOptions. */
  readonly onMisprediction?: OnMisprediction | undefined;
  /** As in ClientOptions. */
  readonly limits?: ClientLimits | undefined;
  /** Who this is, for people: program, host and process. */
  readonly clientName: string;
  /** As in ClientOptions. */
  readonly path?: readonly Uint8Array[] | undefined;
  /** As in ClientOptions. */
  readonly localFiles?: LocalFiles | undefined;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export const DEFAULT_TIMEOUT_MS = 60_000;
/** More makes nothing faster, and memory that is touched for the first time costs more than the write. */
export const DEFAULT_DIRTY_BYTES = 32 << 20;
export const DEFAULT_CACHE_BYTES = 160 << 20;
export const DEFAULT_READ_AHEAD_BYTES = 8 << 20;
