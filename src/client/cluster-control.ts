/** What a person asks of the cluster as a whole. Every method rejects as a request does: EIO when the server stays away. */
import { backupNow, backupStatus, type BackupStatus } from '../protocol/backup-commands.js';
import {
  drain,
  fsck,
  fsckStatus,
  nodes,
  rebalance,
  removenode,
  repairStatus,
  type FsckStatus,
  type NodeStatus,
  type RepairStatus,
} from '../protocol/cluster-commands.js';
import type { ReplyOf, RequestOf } from '../protocol/command.js';
import { addExport, listExports, removeExport, type ExportRule } from '../protocol/export-commands.js';
import {
  createToken,
  listMembers,
  listTokens,
  removeMember,
  revokeToken,
  type MemberStatus,
  type Token,
} from '../protocol/member-commands.js';
import type { Role } from '../protocol/roles.js';
import { sleep, type Clock } from '../platform/clock.js';
import type { MetadataSession } from './session/metadata-session.js';

const PATIENCE_MS = 5000;
const LOOK_MS = 100;

/** Asks until every chunk was looked at, which takes a while where there are millions, but not for ever. */
export async function completeStatus(clock: Clock, ask: () => Promise<RepairStatus>): Promise<RepairStatus> {
  const untilMs = clock.monotonicMs() + PATIENCE_MS;
  for (;;) {
    const newest = await ask();
    if (newest.isComplete || clock.monotonicMs() > untilMs) return newest;
    await sleep(clock, LOOK_MS);
  }
}

export class ClusterControl {
  readonly #session: MetadataSession;

  constructor(session: MetadataSession) {
    this.#session = session;
  }

  /** The data nodes and how they are. */
  async nodes(): Promise<NodeStatus[]> {
    return (await this.#session.ask(nodes, {})).nodes;
  }

  /** How the replicas are. */
  async repairStatus(): Promise<RepairStatus> {
    return await this.#session.ask(repairStatus, {});
  }

  /** Has a node's chunks moved elsewhere, or no more. ENOENT. */
  async drain(node: number, isDraining: boolean): Promise<void> {
    await this.#session.ask(drain, { node, isDraining });
  }

  /** Forgets a lost or drained node; returns how many chunks had a replica there. ENOENT, EBUSY. */
  async removeNode(node: number, force: boolean): Promise<number> {
    return (await this.#session.ask(removenode, { node, force })).chunks;
  }

  /** Makes a token by which others join. */
  async createToken(request: RequestOf<typeof createToken>): Promise<ReplyOf<typeof createToken>> {
    return await this.#session.ask(createToken, request);
  }

  /** The tokens that count, the oldest first. */
  async tokens(): Promise<Token[]> {
    return (await this.#session.ask(listTokens, {})).tokens;
  }

  /** ENOENT. */
  async revokeToken(id: Uint8Array): Promise<void> {
    await this.#session.ask(revokeToken, { id });
  }

  /** Those that have joined, and are members still. */
  async members(): Promise<MemberStatus[]> {
    return (await this.#session.ask(listMembers, {})).members;
  }

  /** Who may mount what. */
  async exports(): Promise<ExportRule[]> {
    return (await this.#session.ask(listExports, {})).exports;
  }

  /** Returns the rule's number. ENOENT, ENOTDIR, EINVAL, EEXIST. */
  async addExport(rule: RequestOf<typeof addExport>): Promise<number> {
    return (await this.#session.ask(addExport, rule)).id;
  }

  /** ENOENT. */
  async removeExport(id: number): Promise<void> {
    await this.#session.ask(removeExport, { id });
  }

  /** The member's certificates count nowhere any more. ENOENT. */
  async removeMember(role: Role, name: string): Promise<void> {
    await this.#session.ask(removeMember, { role, name });
  }

  /** Begins a check of everything. EBUSY. */
  async startFsck(deep: boolean, repair: boolean): Promise<void> {
    await this.#session.ask(fsck, { deep, repair });
  }

  /** How far it is, and what it found, from finding number `from` on. */
  async fsckStatus(from: number): Promise<FsckStatus> {
    return await this.#session.ask(fsckStatus, { from });
  }

  /** Has nodes made equally full, or no more. */
  async rebalance(isWanted: boolean): Promise<void> {
    await this.#session.ask(rebalance, { isWanted });
  }

  /** How the backups of the metadata are. */
  async backupStatus(): Promise<BackupStatus> {
    return await this.#session.ask(backupStatus, {});
  }

  /** Makes a backup of the metadata now. EINVAL when backups are off. */
  async backupNow(): Promise<BackupStatus> {
    return await this.#session.ask(backupNow, {});
  }
}
