/** The server's state in memory, besides the store. */
import type { Exports } from './exports/exports.js';
import type { Membership } from './members/membership.js';
import type { Clock } from '../platform/clock.js';
import type { Random } from '../platform/random.js';
import type { ReadGrantKey } from '../protocol/read-grants.js';
import type { DamageLog } from './fsck/damage-log.js';
import type { BackupWork } from './backup/backup-work.js';
import type { IdAllocator } from './id-allocator.js';
import type { IntentLogs } from './intents/intent-logs.js';
import type { LockService } from './locks/lock-service.js';
import type { ChangedNames } from './leases/changed-names.js';
import type { ExclusiveLeases } from './leases/exclusive-leases.js';
import type { LeaseTable } from './leases/lease-table.js';
import type { NodeTable } from './node-table.js';
import type { OpenTable } from './open-table.js';
import type { RepairNotes } from './repair/repair-notes.js';
import type { SessionTable } from './session-table.js';
import type { ClusterRecord, StoreRoom } from './store/store.js';
import type { UnlinkedInodes } from './unlinked-inodes.js';
import type { UnsyncedReplicas } from './unsynced-replicas.js';

export interface ServerState {
  readonly cluster: ClusterRecord;
  /** Signs read grants. */
  readonly readGrantKey: ReadGrantKey;
  readonly room: StoreRoom;
  /** Random; tells this start of the server from others. */
  readonly run: string;
  readonly sessions: SessionTable;
  readonly opens: OpenTable;
  readonly unlinked: UnlinkedInodes;
  readonly locks: LockService;
  readonly leases: LeaseTable;
  readonly exclusive: ExclusiveLeases;
  readonly changedNames: ChangedNames;
  readonly intentLogs: IntentLogs;
  readonly nodes: NodeTable;
  readonly repair: RepairNotes;
  readonly unsynced: UnsyncedReplicas;
  readonly damage: DamageLog;
  readonly backup: BackupWork;
  readonly membership: Membership;
  readonly exports: Exports;
  readonly inodeNumbers: IdAllocator;
  readonly chunkIds: IdAllocator;
  /** How long a client may use a grant to store a chunk. */
  readonly grantLifetimeMs: number;
  /** A chunk that nobody refers to is kept this long. */
  readonly graceMs: number;
  /** When this process began to serve, in ms since the epoch. */
  readonly startedMs: number;
  /** Ms since the epoch, by the clock as it was when this process began: it does not jump. */
  readonly steadyMs: () => number;
  readonly clock: Clock;
  readonly random: Random;
}
