/** Chooses the workloads: fsbench where it lies beside the project, else those of `dfs bench`. */
import { existsSync } from 'node:fs';
import { dropCaches } from '../../src/cli/bench/caches.js';
import type { GroupName } from '../../src/cli/bench/groups.js';
import type { Measurement } from '../../src/cli/bench/measurement.js';
import { runBench } from '../../src/cli/bench/run-bench.js';
import type { Sizes } from '../../src/cli/bench/sizes.js';
import { hasProgram } from '../support/find-program.js';
import { inClone, shell } from '../support/programs.js';
import { waitUntil } from '../support/wait-until.js';
import { runFsbench } from './fsbench.js';
import type { Subject } from './subject.js';

const FSBENCH = inClone('../shared/bench/fsbench');
const REMOUNT_MS = 30_000;

export interface WorkloadOptions {
  readonly groups: readonly GroupName[];
  readonly sizes: Sizes;
  /** A directory in memory, for what is copied from. */
  readonly scratch: string;
  readonly signal: AbortSignal;
  readonly onMeasurement: (measurement: Measurement) => void;
  readonly onNote: (sentence: string) => void;
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
  if (!isOwn && existsSync(FSBENCH) && hasProgram('python3')) {
    return {
      name: 'fsbench',
      hasMemory: true,
      run: async (subject, options) => await runFsbench(FSBENCH, subject, options),
    };
  }
  return { name: 'dfs bench', hasMemory: true, run: runOwn };
}

async function runOwn(subject: Subject, options: WorkloadOptions): Promise<void> {
  await runBench({
    ...options,
    directory: subject.directory,
    async makeCold() {
      await dropCaches();
      if (subject.remount !== '') await remount(subject.remount);
    },
  });
}

/** Who unmounts may have to wait until the kernel lets go of the last file. */
async function remount(command: string): Promise<void> {
  let failure: unknown;
  const tryIt = async (): Promise<boolean> => {
    try {
      await shell(command);
      return true;
    } catch (error) {
      failure = error;
      return false;
    }
  };
  await waitUntil(tryIt, { deadlineMs: REMOUNT_MS, what: 'it is mounted anew' }).catch((error: unknown) => {
    throw new Error(String(failure ?? error), { cause: error });
  });
}
