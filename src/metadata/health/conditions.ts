/** What a person should look at, from what the metadata server knows at one moment: each code's limit stands here, or in the rule named. */
import type { BackupStatus } from '../../protocol/backup-commands.js';
import type { HealthCondition, NodeStatus, RepairStatus } from '../../protocol/cluster-commands.js';
import { HEALTH_CODES, type HealthCode } from '../../protocol/health-codes.js';
import { DEFAULT_CHUNK_BYTES } from '../../protocol/limits.js';
import { backupTrouble } from '../../protocol/backup-trouble.js';
import { hasRoom } from '../placement.js';

/** A node with a smaller share of its disk free is nearly full. */
const NEARLY_FULL_SHARE = 0.15;

export interface HealthSnapshot {
  readonly repair: RepairStatus;
  readonly nodes: readonly NodeStatus[];
  readonly backup: BackupStatus;
}

/** Errors first. Empty: nothing needs attention. */
export function healthConditions(snapshot: HealthSnapshot): HealthCondition[] {
  const found = new Map<HealthCode, string>([
    ...ofReplicas(snapshot.repair),
    ...ofNodes(snapshot.nodes),
    ...ofBackups(snapshot.backup),
  ]);
  // The order is that of the list of codes.
  return (Object.keys(HEALTH_CODES) as HealthCode[]).flatMap(code => {
    const text = found.get(code);
    return text === undefined ? [] : { code, severity: HEALTH_CODES[code], text };
  });
}

type Found = [HealthCode, string][];

function ofReplicas({ lost, endangered, short, databaseRoom }: RepairStatus): Found {
  const found: Found = [];
  if (lost.chunks > 0)
    found.push([
      'CHUNKS_LOST',
      `no node that is there has ${counted(lost.chunks, 'chunk')}; reading them fails until you start the nodes that are lost`,
    ]);
  if (databaseRoom?.isShort === true)
    found.push([
      'METADATA_DISK_LOW',
      'the disk of the metadata server is nearly full, so nothing new is made; make room on that disk, or delete files',
    ]);
  const missing = endangered.reduce((sum, { chunks }) => sum + chunks, 0);
  if (missing > 0)
    found.push([
      'REPLICAS_MISSING',
      `${counted(missing, 'chunk')} with fewer replicas than wanted; these are being made again, so keep the other nodes running`,
    ]);
  if (short.chunks > 0)
    found.push([
      'TOO_FEW_NODES',
      `${counted(short.chunks, 'chunk')} with a higher goal than there are nodes for; add nodes, or lower the goal`,
    ]);
  return found;
}

function ofNodes(nodes: readonly NodeStatus[]): Found {
  const found: Found = [];
  const about = (code: HealthCode, concerned: readonly NodeStatus[], what: string): void => {
    if (concerned.length > 0) found.push([code, `${named(concerned)} ${what}`]);
  };
  const live = nodes.filter(({ state }) => state === 'live');
  const suspect = nodes.filter(({ state }) => state === 'suspect');
  const lost = nodes.filter(({ state }) => state === 'lost');
  about(
    'NODE_LOST',
    lost,
    "away for so long that the replicas are made again elsewhere; start it, or give it up with 'dfs node remove'",
  );
  const isReached = ({ unreachable = '' }: NodeStatus): boolean => unreachable === '';
  about(
    'NODE_SILENT',
    suspect.filter(isReached),
    'silent and gets nothing new; see whether it and its machine run',
  );
  about(
    'NODE_UNREACHABLE',
    suspect.filter(node => !isReached(node)),
    "not reached at its address, and gets nothing new; 'dfs nodes' says why",
  );
  const isFull = (node: NodeStatus): boolean => !hasRoom({ space: node }, DEFAULT_CHUNK_BYTES);
  about('FULL', live.filter(isFull), 'full, so that writing may fail; delete files, or add a node');
  const isNearlyFull = ({ freeBytes, totalBytes }: NodeStatus): boolean =>
    freeBytes < totalBytes * NEARLY_FULL_SHARE;
  about(
    'NEARLY_FULL',
    live.filter(node => isNearlyFull(node) && !isFull(node)),
    'more than 85 % full; delete files, or add a node',
  );
  about(
    'CLOCK_SKEW',
    live.filter(({ skewMs = 0 }) => skewMs !== 0),
    "not at the metadata server's time; have a time service set the clocks (no file is at risk)",
  );
  return found;
}

function ofBackups(backup: BackupStatus): Found {
  const trouble = backupTrouble(backup);
  if (!trouble) return [];
  const remedy =
    trouble.code === 'BACKUP_OFF'
      ? "start meta-data without '--backup-interval 0'"
      : "'dfs backup now' makes a backup of the metadata, or says why not";
  return [[trouble.code, `${trouble.text}; ${remedy}`]];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function named(nodes: readonly NodeStatus[]): string {
  const numbers = nodes.map(({ node }) => node).toSorted((one, other) => one - other);
  return numbers.length === 1 ? `node ${numbers.join('')} is` : `nodes ${numbers.join(', ')} are`;
}
