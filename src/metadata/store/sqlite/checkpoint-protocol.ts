/** Messages between the store and its checkpoint thread. */
import type { BackupPlan, WrittenBackup } from '../store.js';

export interface CheckpointWorkerData {
  readonly path: string;
  /** The database file, open for reading. */
  readonly file: number;
}

export type CheckpointRequest =
  | { readonly is: 'checkpoint' }
  /** Fails when the database is damaged. */
  | { readonly is: 'check' }
  /** Changed pages are to be noted from now on. */
  | { readonly is: 'note-changes' }
  /** What was noted so far is forgotten: a copy of the whole file begins. */
  | { readonly is: 'begin-copy' }
  /** Pages [from, from + count) go into a file. */
  | { readonly is: 'copy-pages'; readonly plan: BackupPlan; readonly from: number; readonly count: number }
  /** The pages that changed go into a file. */
  | { readonly is: 'copy-changes'; readonly plan: BackupPlan }
  | { readonly is: 'close' };

/** How far a checkpoint came, in frames (pages) of the log. */
export interface CheckpointProgress {
  readonly logFrames: number;
  readonly copiedFrames: number;
}

/** `undefined`: the file is not complete, for a transaction came in between; try again. */
export type CheckpointAnswer =
  | { readonly progress: CheckpointProgress }
  | { readonly pageCount: number | undefined }
  | { readonly written: WrittenBackup | undefined }
  | { readonly error: string };

export interface CheckpointRow {
  readonly busy: number;
  readonly log: number;
  readonly checkpointed: number;
}
