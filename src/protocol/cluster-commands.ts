/** The metadata server's commands for data nodes, their replicas, and checks of everything. */
import { Type, type Static } from '@sinclair/typebox';
import { command } from './command.js';
import { LogNumber, MAX_LOGS_ASKED } from './intents.js';
import { ADMINS, CLIENTS, NODES } from './roles.js';
import { MAX_DROPS, MAX_FINDINGS_PAGE, MAX_INVENTORY, MAX_TROUBLES } from './limits.js';
import { Nothing } from './request-shapes.js';
import { ChunkId, HostName, NodeNumber, Port, SafeInteger, SignedInteger, VISIBLE } from './types.js';

/** What fails together with the node: a rack, a machine; empty for its host. */
const Domain = Type.String({ maxLength: 64, pattern: VISIBLE });

const NodeSpace = {
  totalBytes: SafeInteger,
  freeBytes: SafeInteger,
  chunks: SafeInteger,
};

/** Whole ms since the epoch, by the metadata server's clock: what grants expire by. Nobody else's clock is compared with it. */
const ServerMs = SafeInteger;

/** Why the metadata server does not reach the node where it says that others do: it gets no chunks. Empty if it does. */
const Unreachable = Type.String();

const NodeProof = Type.Uint8Array({ maxByteLength: 32 });

/** A data node registers. ACK: new here; DUP: known, welcome back; NAK: refused, with the reason. */
export const reg = command('reg', 1, {
  allow: NODES,
  request: Type.Object({
    /** The identity that the node keeps in its data directory. */
    id: Type.String({ minLength: 8, maxLength: 64, pattern: VISIBLE }),
    /** The cluster the directory belongs to; empty for a new directory. */
    cluster: Type.String({ maxLength: 64 }),
    host: HostName,
    port: Port,
    domain: Type.Optional(Domain),
    /** The `proof` of the last registration, if this process has registered before. */
    proof: Type.Optional(NodeProof),
    ...NodeSpace,
  }),
  reply: Type.Object({
    result: Type.Union([Type.Literal('ACK'), Type.Literal('DUP'), Type.Literal('NAK')]),
    reason: Type.String(),
    node: SafeInteger,
    cluster: Type.String({ maxLength: 64 }),
    /** The key that signs grants. */
    grantKey: Type.Uint8Array({ maxByteLength: 64 }),
    /**
     * Random; by it the node may register on another connection while this one seems to be open. Nobody else is told, and
     * nobody can register in the node's name without it as long as the node lives.
     */
    proof: NodeProof,
    serverMs: ServerMs,
    unreachable: Type.Optional(Unreachable),
  }),
});

/** A data node lives, by the connection on which it registered; the reply names chunks that nobody refers to any more. */
export const heartbeat = command('heartbeat', 2, {
  allow: NODES,
  request: Type.Object({
    node: NodeNumber,
    id: Type.String({ minLength: 8, maxLength: 64 }),
    ...NodeSpace,
    /** Chunks named by an earlier reply that are now gone from this node. */
    dropped: Type.Array(ChunkId, { maxItems: MAX_DROPS }),
    /** Chunks on this node that do not match their checksums. */
    damaged: Type.Optional(Type.Array(ChunkId, { maxItems: MAX_TROUBLES })),
    /** Chunks that readers expected on this node, and that are not there. */
    absent: Type.Optional(Type.Array(ChunkId, { maxItems: MAX_TROUBLES })),
    /** The node's own wall clock, ms since the epoch, to show how far off it is. */
    wallMs: Type.Optional(SafeInteger),
    /** Logs of intents of which this node has heard nothing for a while. */
    logs: Type.Optional(Type.Array(LogNumber, { maxItems: MAX_LOGS_ASKED })),
  }),
  reply: Type.Object({
    /** False: the metadata server does not know this node by this connection (it restarted, or its database is new); `reg` again. */
    known: Type.Boolean(),
    drop: Type.Array(ChunkId, { maxItems: MAX_DROPS }),
    /** Damaged chunks of which there are other replicas: the node puts them aside. */
    quarantine: Type.Optional(Type.Array(ChunkId, { maxItems: MAX_TROUBLES })),
    /** Those of `logs` that are over: nobody will ask for their intents. */
    endedLogs: Type.Optional(Type.Array(LogNumber, { maxItems: MAX_LOGS_ASKED })),
    serverMs: ServerMs,
    /** By how much the node's wall clock is ahead of the server's (negative: behind); 0 for less than SHOWN_SKEW_MS. */
    skewMs: Type.Optional(SignedInteger),
    unreachable: Type.Optional(Unreachable),
  }),
  maxRequestBytes: 64 << 10,
});

/**
 * live: gets chunks; suspect: silent, or not reached, for a while; lost: for so long that its replicas are made again
 * elsewhere.
 */
export const NodeState = Type.Union([Type.Literal('live'), Type.Literal('suspect'), Type.Literal('lost')]);
export type NodeState = Static<typeof NodeState>;

export const NodeStatus = Type.Object({
  node: NodeNumber,
  id: Type.String(),
  host: HostName,
  port: Port,
  state: NodeState,
  domain: Domain,
  /** Its chunks are being moved to other nodes. */
  isDraining: Type.Boolean(),
  ...NodeSpace,
  /** As in the reply to its heartbeat. */
  skewMs: Type.Optional(SignedInteger),
  unreachable: Type.Optional(Unreachable),
});
export type NodeStatus = Static<typeof NodeStatus>;

/** Every data node ever registered, and how it is. */
export const nodes = command('nodes', 3, {
  allow: CLIENTS,
  request: Nothing,
  reply: Type.Object({ nodes: Type.Array(NodeStatus) }),
});

/**
 * Which chunks a data node holds: one page, in the order of their ids. The server compares it with its records from
 * `after` up to `until`; `through` says how far it came, and the node goes on from there.
 */
export const inventory = command('inventory', 4, {
  allow: NODES,
  request: Type.Object({
    node: NodeNumber,
    id: Type.String({ minLength: 8, maxLength: 64 }),
    after: SafeInteger,
    /** Ids above `after`, ascending, 64-bit little-endian each. */
    chunks: Type.Uint8Array({ maxByteLength: 8 * MAX_INVENTORY }),
    /** The page says everything up to this id; MAX_SAFE_INTEGER on the last page. */
    until: SafeInteger,
    /** Chunks named as `missing` by an earlier reply that are not on this node: it looked again. */
    absent: Type.Array(ChunkId, { maxItems: MAX_INVENTORY }),
  }),
  reply: Type.Object({
    /** False: the server does not know the node; it is to register, and to begin anew. */
    known: Type.Boolean(),
    through: SafeInteger,
    /** Chunks that the server has on record for this node, and that were not in the page. */
    missing: Type.Array(ChunkId, { maxItems: MAX_INVENTORY }),
  }),
  maxRequestBytes: 128 << 10,
});

/** Chunks, and the bytes of their content (counted once, however many replicas). */
const ChunkTotals = Type.Object({ chunks: SafeInteger, bytes: SafeInteger });
export type ChunkTotals = Static<typeof ChunkTotals>;

/** Something that a person should look at: docs/health.md has a section for each code. */
const HealthCondition = Type.Object({
  code: Type.String({ maxLength: 64 }),
  /** warning: it is less safe than it should be; error: something fails, or is lost. */
  severity: Type.Union([Type.Literal('warning'), Type.Literal('error')]),
  /** What is the matter and what to do, in one sentence. */
  text: Type.String(),
});
export type HealthCondition = Static<typeof HealthCondition>;

export const RepairStatus = Type.Object({
  /** False until every chunk was looked at since the last change of the nodes, and since somebody asked. */
  isComplete: Type.Boolean(),
  total: ChunkTotals,
  /** No node that is not lost has them. */
  lost: ChunkTotals,
  /** Fewer replicas than wanted; the first element has one replica left, and so on. */
  endangered: Type.Array(ChunkTotals),
  /** Fewer replicas than their goal, for there are not enough nodes that live and are not drained. */
  short: ChunkTotals,
  /** More replicas than wanted. */
  surplus: ChunkTotals,
  /** Bytes that wait to be copied, those that are to move to emptier nodes, and those copied each second at the moment. */
  waitingBytes: SafeInteger,
  movingBytes: SafeInteger,
  bytesPerSecond: SafeInteger,
  /** -1: not known. */
  secondsLeft: Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER }),
  isRebalancing: Type.Boolean(),
  /** Chunks that a node which is being drained still has. */
  draining: Type.Array(Type.Object({ node: NodeNumber, chunks: SafeInteger })),
  /** The disk of the metadata database; short: nothing new is made there (ENOSPC). */
  databaseRoom: Type.Optional(Type.Object({ isShort: Type.Boolean(), freeBytes: SafeInteger })),
  /** Errors first; missing when the server is of a version that does not say. */
  health: Type.Optional(Type.Array(HealthCondition)),
});
export type RepairStatus = Static<typeof RepairStatus>;

/** How the replicas are. */
export const repairStatus = command('repairstatus', 5, {
  allow: CLIENTS,
  request: Nothing,
  reply: RepairStatus,
});

/** Moves a node's chunks elsewhere, or no more. ENOENT when there is no such node. */
export const drain = command('drain', 6, {
  allow: ADMINS,
  request: Type.Object({ node: NodeNumber, isDraining: Type.Boolean() }),
  reply: Nothing,
});

/**
 * Forgets a node that is lost or drained. ENOENT; EBUSY while it lives and has chunks, or while chunks have their last
 * replica there, unless `force`: then those chunks are lost.
 */
export const removenode = command('removenode', 7, {
  allow: ADMINS,
  request: Type.Object({ node: NodeNumber, force: Type.Boolean() }),
  reply: Type.Object({ chunks: SafeInteger }),
});

/** Moves chunks from full nodes to empty ones until they are about equally full. */
export const rebalance = command('rebalance', 8, {
  allow: ADMINS,
  request: Type.Object({ isWanted: Type.Boolean() }),
  reply: Nothing,
});

export const FsckStatus = Type.Object({
  isRunning: Type.Boolean(),
  /** What it does at the moment, for people. */
  stage: Type.String(),
  doneBytes: SafeInteger,
  totalBytes: SafeInteger,
  /** How many problems were found, and how many of them are named. */
  count: SafeInteger,
  named: SafeInteger,
  /** One page of them. */
  findings: Type.Array(
    Type.Object({
      kind: Type.String(),
      path: Type.Uint8Array(),
      what: Type.String(),
      isRepaired: Type.Boolean(),
    }),
    { maxItems: MAX_FINDINGS_PAGE },
  ),
});
export type FsckStatus = Static<typeof FsckStatus>;

/** Begins a check of everything. EBUSY while one is under way. */
export const fsck = command('fsck', 9, {
  allow: ADMINS,
  request: Type.Object({ deep: Type.Boolean(), repair: Type.Boolean() }),
  reply: Nothing,
});

/** How far the last check is, and its findings from number `from` on. ENOENT when there was none; what it failed of. */
export const fsckStatus = command('fsckstatus', 16, {
  allow: CLIENTS,
  request: Type.Object({ from: SafeInteger }),
  reply: FsckStatus,
});
