/** The workloads of `npm run bench -- --mounts 2,4`: several mounts of one cluster at work at the same time. */
import { inClone } from '../../support/programs.js';
import { runMeasuringProcess } from '../measuring-process.js';
import type { Subject } from '../subject.js';
import type { WorkloadOptions, Workloads } from '../workloads.js';

const TOGETHER = inClone('test/bench/mounts/together.py');
const SERVER_TIME = inClone('test/bench/mounts/server_time.py');
const ALONE = 1;
const WARM_UP = ['--files=200', '--megabytes=8', '--seconds=1'];

export interface MountsSizes {
  /** For each mount. */
  readonly files: number;
  readonly megabytes: number;
  /** Of the mount that works while the metadata server's processor time is measured. */
  readonly serverTimeFiles: number;
}

export const FULL_MOUNTS_SIZES: MountsSizes = { files: 1000, megabytes: 128, serverTimeFiles: 2000 };
/** For seeing that everything works. */
export const QUICK_MOUNTS_SIZES: MountsSizes = { files: 40, megabytes: 4, serverTimeFiles: 100 };

export interface MountsOptions {
  /** Numbers of mounts that work together. */
  readonly together: readonly number[];
  /** Numbers of mounts with which the metadata server's processor time is measured. */
  readonly serverTime: readonly number[];
  readonly sizes: MountsSizes;
}

/** One mount alone, then ever more; each number is measured as soon as so many mounts are there. */
export function severalMounts(options: MountsOptions): Workloads {
  return {
    name: 'several mounts',
    // Several clients' memory says nothing about one.
    hasMemory: false,
    run: async (subject, given) => await measureMounts(subject, options, given),
  };
}

async function measureMounts(
  subject: Subject,
  { together, serverTime, sizes }: MountsOptions,
  { signal, onMeasurement }: WorkloadOptions,
): Promise<void> {
  const { sharing } = subject;
  if (!sharing) throw new Error('it cannot be mounted several times');
  const mountPoints = [subject.directory];
  const run = async (
    path: string,
    parameters: readonly string[],
    take: WorkloadOptions['onMeasurement'] = onMeasurement,
  ): Promise<void> => {
    const name = `${path.slice(path.lastIndexOf('/') + 1)} with ${mountPoints.length} mounts`;
    const command = { command: 'python3', parameters: [path, ...parameters, ...mountPoints] };
    await runMeasuringProcess({ name, ...command, signal, onMeasurement: take });
  };
  // The first files cost more than all others: programs are compiled, connections and chunk files are made.
  await run(TOGETHER, WARM_UP, () => undefined);
  const numbers = [...new Set([ALONE, ...together, ...serverTime])].toSorted((a, b) => a - b);
  for (const number of numbers) {
    while (mountPoints.length < number) {
      signal.throwIfAborted();
      mountPoints.push(await sharing.addMount());
    }
    if (number === ALONE || together.includes(number)) {
      await run(TOGETHER, [`--files=${sizes.files}`, `--megabytes=${sizes.megabytes}`]);
    }
    if (serverTime.includes(number)) {
      const pids = (await sharing.metadataPids()).join(',');
      await run(SERVER_TIME, [`--files=${sizes.serverTimeFiles}`, `--servers=${pids}`]);
    }
  }
}
