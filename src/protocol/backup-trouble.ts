/** What is wrong with the backups of the metadata: one rule for `dfs backup` and for the cluster's health. */
import type { BackupStatus } from './backup-commands.js';

/** A backup is old when there are changes that have waited for so many intervals. */
const OLD_INTERVALS = 5;

export interface BackupTrouble {
  readonly code: 'BACKUP_OFF' | 'BACKUP_FAILED' | 'BACKUP_MISSING' | 'BACKUP_OLD';
  /** One sentence for people, without a capital and without a full stop. */
  readonly text: string;
}

/** Undefined when nothing is wrong, also while there is no backup yet since the metadata server started. */
export function backupTrouble(status: BackupStatus): BackupTrouble | undefined {
  const { intervalMs, newestMs, ageMs, hasChanges, problem, nodes } = status;
  if (intervalMs === 0) return { code: 'BACKUP_OFF', text: 'backups are off' };
  if (problem !== '') return { code: 'BACKUP_FAILED', text: `the last backup failed: ${problem}` };
  if (newestMs === 0) return undefined;
  if (nodes.length === 0) return { code: 'BACKUP_MISSING', text: 'no live data node has the newest backup' };
  if (hasChanges && ageMs > OLD_INTERVALS * intervalMs)
    return { code: 'BACKUP_OLD', text: 'the newest backup is old; see the log of meta-data' };
  return undefined;
}
