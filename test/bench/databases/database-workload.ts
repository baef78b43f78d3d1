/** A workload of the group `databases`. */
import type { Measurement } from '../../../src/cli/bench/measurement.js';

export interface DatabaseContext {
  /** An empty directory in the file system that is measured; it is removed by others. */
  readonly directory: string;
  /** The time of each measurement. */
  readonly seconds: number;
  /** As in Subject. */
  readonly remount: string;
  readonly signal: AbortSignal;
  readonly onMeasurement: (measurement: Measurement) => void;
  /** Has everything stored and drops all caches. Nothing in the directory may be open. */
  freshen(): Promise<void>;
}

export interface DatabaseWorkload {
  /** Also of its directory. */
  readonly name: string;
  /** Why it cannot be measured in a file system that is mounted there, and what to do, in a sentence. */
  whyNot(directory: string): Promise<string | undefined>;
  /** Rejects when something that was acknowledged is not there afterwards, and at the signal. */
  run(context: DatabaseContext): Promise<void>;
}
