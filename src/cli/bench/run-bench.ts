/** Runs workloads in a directory, and leaves nothing of them behind. */
import { mkdtemp, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import prettyBytes from 'pretty-bytes';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { Bench, type MakeCold } from './bench.js';
import { GROUPS, type GroupName } from './groups.js';
import type { Measurement } from './measurement.js';
import { QUICK_SIZES, type Sizes } from './sizes.js';
import { Workers } from './workers.js';

const MEMORY = '/dev/shm';
/** What the large file needs at most, besides all the small ones. */
const SPARE_BYTES = 128 << 20;

export interface RunOptions {
  readonly directory: string;
  readonly groups: readonly GroupName[];
  readonly sizes: Sizes;
  /** As in BenchParts. */
  readonly makeCold: MakeCold | undefined;
  readonly signal: AbortSignal;
  readonly onMeasurement: (measurement: Measurement) => void;
  readonly onNote: (sentence: string) => void;
}

/**
 * Runs the groups of workloads one after the other. Everything that is read is compared with what was written. ENOENT,
 * ENOTDIR, EACCES, ENOSPC for a directory that cannot be measured; the signal's reason when it is interrupted; EIO when
 * something is not as it should be. Whatever happens, the directory is as it was before.
 */
export async function runBench(options: RunOptions): Promise<void> {
  const { directory, sizes, signal } = options;
  await checkDirectory(directory, sizes);
  const made: string[] = [];
  const makeIn = async (parent: string): Promise<string> => {
    const path = await mkdtemp(join(parent, 'dfs-bench-'));
    made.push(path);
    return path;
  };
  let workers: Workers | undefined;
  try {
    workers = await Workers.start(sizes.parallel, signal);
    const scratch = await makeIn(MEMORY).catch(async () => await makeIn(tmpdir()));
    const workplace = await makeIn(directory).catch((error: unknown) => {
      throw new DfsError(toDfsError(error).code, `no files can be made in ${directory}`, { cause: error });
    });
    const bench = new Bench({ ...options, directory: workplace, scratch, workers });
    for (const group of options.groups) {
      signal.throwIfAborted();
      await GROUPS[group](bench);
    }
  } finally {
    await workers?.close();
    // A program that was interrupted may still be making files.
    for (const path of made) await rm(path, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function checkDirectory(directory: string, sizes: Sizes): Promise<void> {
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(directory)).isDirectory();
  } catch (error) {
    const reason = toDfsError(error);
    if (reason.code === 'ENOENT') throw new DfsError('ENOENT', `there is no directory ${directory}`);
    throw reason.within(`cannot look at ${directory}`);
  }
  if (!isDirectory) throw new DfsError('ENOTDIR', `${directory} is no directory`);
  const { bavail, bsize } = await statfs(directory);
  const needed = Math.max(sizes.bigBytes, sizes.parallel * sizes.parallelBytes) + SPARE_BYTES;
  if (bavail * bsize < needed) {
    const [free, wanted] = [bavail * bsize, needed].map(bytes => prettyBytes(bytes, { binary: true }));
    const advice = sizes === QUICK_SIZES ? 'free some space' : 'free some space, or try --quick';
    throw new DfsError('ENOSPC', `${directory} has ${free} free, and ${wanted} are needed; ${advice}`);
  }
}
