/** Everything that a person should look at, by its code. docs/health.md has a section for each; a code never changes its meaning. */
export const HEALTH_CODES = {
  CHUNKS_LOST: 'error',
  FULL: 'error',
  METADATA_DISK_LOW: 'error',
  REPLICAS_MISSING: 'warning',
  TOO_FEW_NODES: 'warning',
  NODE_LOST: 'warning',
  NODE_SILENT: 'warning',
  NODE_UNREACHABLE: 'warning',
  NEARLY_FULL: 'warning',
  BACKUP_OFF: 'warning',
  BACKUP_FAILED: 'warning',
  BACKUP_MISSING: 'warning',
  BACKUP_OLD: 'warning',
  CLOCK_SKEW: 'warning',
} as const;

export type HealthCode = keyof typeof HEALTH_CODES;
