/** One subject in one run: started, measured, and gone afterwards, whatever happens. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Measurement } from '../../src/cli/bench/measurement.js';
import type { SubjectRun } from './comparison.js';
import { ownNode } from './daemons.js';
import { MemoryWatch } from './memory-watch.js';
import type { Subject, SubjectName } from './subject.js';
import { makeSubject } from './subjects.js';
import type { WorkloadOptions, Workloads } from './workloads.js';

export interface MeasureOptions extends WorkloadOptions {
  readonly run: number;
  readonly subject: SubjectName;
  readonly workloads: Workloads;
  /** A local directory in which it may make one. */
  readonly directory: string;
}

/** A failure is part of the result; rejects only at the signal, and when the subject could not be taken away. */
export async function measure(options: MeasureOptions): Promise<SubjectRun> {
  const { run, subject: name, signal } = options;
  const directory = join(options.directory, `${name}-${run}`);
  await mkdir(directory);
  const node = await ownNode(directory, `dfs-bench-${process.pid}`);
  const subject = makeSubject(name, { directory, node });
  const measurements: Measurement[] = [];
  let failure: string | undefined;
  try {
    await subject.start();
    signal.throwIfAborted();
    await measureStarted(subject, options, measurements);
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  } finally {
    await subject.close();
  }
  // Nothing is mounted in it any more, or closing would have failed.
  await rm(directory, { recursive: true, force: true });
  signal.throwIfAborted();
  return { run, subject: name, measurements, ...(failure === undefined ? {} : { failure }) };
}

async function measureStarted(
  subject: Subject,
  options: MeasureOptions,
  measurements: Measurement[],
): Promise<void> {
  const memory = new MemoryWatch(subject.findDaemons);
  const { hasMemory } = options.workloads;
  if (hasMemory) memory.start();
  const take = (measurement: Measurement): void => {
    measurements.push(measurement);
    options.onMeasurement(measurement);
  };
  try {
    await options.workloads.run(subject, { ...options, onMeasurement: take });
  } finally {
    if (hasMemory) for (const measurement of await memory.stop()) take(measurement);
  }
}
