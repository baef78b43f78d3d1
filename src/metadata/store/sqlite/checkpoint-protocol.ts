/** What the store and its checkpoint thread say to each other. */

export interface CheckpointWorkerData {
  readonly path: string;
}

export type CheckpointRequest = 'checkpoint' | 'close';

/** How far a checkpoint came, in frames (pages) of the log. */
export interface CheckpointProgress {
  readonly logFrames: number;
  readonly copiedFrames: number;
}

export type CheckpointAnswer = CheckpointProgress | { readonly error: string };

export interface CheckpointRow {
  readonly busy: number;
  readonly log: number;
  readonly checkpointed: number;
}
