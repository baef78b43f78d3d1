/** Limits of a client that a simulation or a test makes small, so that a run meets them (FoundationDB's BUGGIFY). */
export interface ClientLimits {
  /** Inodes that may be open at once; the server has a limit of its own. */
  readonly maxOpenInodes?: number | undefined;
  /** Changes in one batch of the log. */
  readonly maxBatch?: number | undefined;
  /** Replicas of one file that are not known to be on stable storage; beyond that they are synced in the background. */
  readonly maxUnsyncedReplicas?: number | undefined;
  /** How often a file is synced before it gets an intent log. */
  readonly syncsBeforeLog?: number | undefined;
}
