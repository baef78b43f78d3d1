/** Chooses the workloads: fsbench where it lies beside the project, else those of `dfs bench`; then the databases. */
import { existsSync } from 'node:fs';
import type { GroupName } from '../../src/cli/bench/groups.js';
import type { Measurement } from '../../src/cli/bench/measurement.js';
import { runBench } from '../../src/cli/bench/run-bench.js';
import type { Sizes } from '../../src/cli/bench/sizes.js';
import { hasProgram } from '../support/find-program.js';
import { inClone } from '../support/programs.js';
import { DATABASES, fileGroups, type BenchGroupName } from './bench-groups.js';
import { makeCold } from './cold.js';
import { runDatabases } from './databases/databases.js';
import { runFsbench } from './fsbench.js';
import type { Subject } from './subject.js';

const FSBENCH = inClone('../shared/bench/fsbench');

export interface WorkloadOptions {
  readonly groups: readonly BenchGroupName[];
  readonly sizes: Sizes;
  /** A directory in memory, for what is copied from. */
  readonly scratch: string;
  readonly signal: AbortSignal;
  readonly onMeasurement: (measurement: Measurement) => void;
  readonly onNote: (sentence: string) => void;
}

export interface FileWorkloadOptions extends WorkloadOptions {
  readonly groups: readonly GroupName[];
}

export interface Workloads {
  readonly name: 'fsbench' | 'dfs bench' | 'several mounts';
  /** Whether the memory of the subject's processes is measured meanwhile. */
  readonly hasMemory: boolean;
  /** Measures a subject that has been started. Rejects when something is not as it should be, or at the signal. */
  run(subject: Subject, options: WorkloadOptions): Promise<void>;
}

/** @param isOwn those of `dfs bench` in any case */
export function findWorkloads(isOwn: boolean): Workloads {
  const isFsbench = !isOwn && existsSync(FSBENCH) && hasProgram('python3');
  return {
    name: isFsbench ? 'fsbench' : 'dfs bench',
    hasMemory: true,
    async run(subject, options) {
      const groups = fileGroups(options.groups);
      const files = { ...options, groups };
      if (groups.length > 0) await (isFsbench ? runFsbench(FSBENCH, subject, files) : runOwn(subject, files));
      if (options.groups.includes(DATABASES)) await runDatabases(subject, options);
    },
  };
}

async function runOwn(subject: Subject, options: FileWorkloadOptions): Promise<void> {
  const { directory } = subject;
  await runBench({ ...options, directory, makeCold: async () => await makeCold(subject) });
}
