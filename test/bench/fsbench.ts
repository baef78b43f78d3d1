/** fsbench as a process: its sizes go into the environment, its measurements come as lines. */
import type { Sizes } from '../../src/cli/bench/sizes.js';
import { runMeasuringProcess } from './measuring-process.js';
import type { Subject } from './subject.js';
import type { FileWorkloadOptions } from './workloads.js';

const MIB = 2 ** 20;
/** Not workloads, and accounted elsewhere. */
const SUMS: ReadonlySet<string> = new Set(['total', 'daemon-rss', 'other-cpu']);

/** Measures a subject. Rejects with what fsbench said when it fails, and with the signal's reason. */
export async function runFsbench(
  path: string,
  subject: Subject,
  options: FileWorkloadOptions,
): Promise<void> {
  const { groups, signal, onMeasurement } = options;
  await runMeasuringProcess({
    name: 'fsbench',
    command: 'python3',
    parameters: [path, '--only', groups.join(','), subject.directory],
    env: environmentOf(subject, options),
    signal,
    onMeasurement(measurement) {
      if (!SUMS.has(measurement.name)) onMeasurement(measurement);
    },
  });
}

function environmentOf(subject: Subject, { sizes, scratch }: FileWorkloadOptions): Record<string, string> {
  const numbers = Object.entries(fsbenchSizes(sizes)).map(([name, value]) => [name, String(value)]);
  return {
    ...Object.fromEntries(numbers),
    REMOUNT: subject.remount,
    CPU_COMM: subject.executables.join(' '),
    CPU_PIDS: '',
    KEEP: '0',
    SCRATCH: scratch,
  };
}

function fsbenchSizes(sizes: Sizes): Record<string, number> {
  return {
    BIG_MB: sizes.bigBytes / MIB,
    RR_MB: sizes.randomBytes / MIB,
    RR_SECS: sizes.randomReadSeconds,
    RW_OPS: sizes.randomWrites,
    RW_CAP: sizes.randomWriteSeconds,
    FSYNC_SECS: sizes.fsyncSeconds,
    PAR: sizes.parallel,
    PAR_MB: sizes.parallelBytes / MIB,
    NFILES: sizes.files,
    NDIRS: sizes.directories,
    FSIZE: sizes.fileBytes,
    NMKDIR: sizes.mkdirs,
    TREE_FILES: sizes.treeFiles,
    APPENDS: sizes.appends,
    REOPENS: sizes.reopens,
  };
}
