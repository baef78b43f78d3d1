/** Messages between the store and the thread that checks it. */
import type { Finding } from '../../fsck/finding.js';

export interface FsckWorkerData {
  readonly path: string;
  /** Findings beyond so many are only counted. */
  readonly maxFindings: number;
}

/** Chunks that were found wrong otherwise, whose files are asked for. */
export type FsckRequest = { readonly chunks: readonly number[] } | 'check' | 'close';

export type FsckAnswer =
  | { readonly findings: Finding[]; readonly count: number }
  /** chunk → paths of files that refer to it, bytes as latin1 */
  | { readonly paths: Map<number, string[]> }
  | { readonly error: string };
