/**
 * `npm run bench -- [--peer moosefs|glusterfs] [--subjects dfs1,null] [--only seq,small] [--mounts 2,4] [--runs 2] [--quick]`: measures
 * DFS and what it is compared with, in turn, and says which targets are met.
 */
import { chmod, mkdtemp, realpath, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatValue } from '../../src/cli/bench/measurement.js';
import { onEndSignal } from '../../src/cli/interruption.js';
import { UsageError } from '../../src/cli/usage-error.js';
import { readOptions, type BenchOptions } from './bench-options.js';
import { compare, type SubjectRun } from './comparison.js';
import { whyNoGlusterfs } from './glusterfs-subject.js';
import { measure } from './measure.js';
import { whyNoMoosefs } from './moosefs-subject.js';
import { togetherBesideAlone } from './mounts/beside-alone.js';
import { markdownTable, remarks, terminalTable } from './report.js';
import { keepResults } from './results.js';
import { COMPARISONS } from './targets.js';

const FAILED = 1;
const WRONG_USAGE = 2;
const MEMORY = '/dev/shm';
const PASSABLE = 0o711;

/** Why nothing can be measured here, in a sentence. */
function obstacle({ subjects }: BenchOptions): string | undefined {
  if (process.getuid?.() !== 0)
    return 'run it as root, who alone can drop caches and make network namespaces';
  const hasMoosefs = subjects.some(name => name.startsWith('moosefs'));
  return (
    (hasMoosefs ? whyNoMoosefs() : undefined) ??
    (subjects.includes('glusterfs') ? whyNoGlusterfs() : undefined)
  );
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Run 1 of all subjects, then run 2 of all, so that what changes on the machine meanwhile hits all of them. */
async function measureAll(options: BenchOptions, signal: AbortSignal): Promise<SubjectRun[]> {
  const { workloads, sizes } = options;
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'dfs-bench-')));
  // Databases run as another user.
  await chmod(directory, PASSABLE);
  const scratch = await mkdtemp(join(MEMORY, 'dfs-bench-'));
  const done: SubjectRun[] = [];
  try {
    for (let run = 1; run <= options.runs; run += 1) {
      for (const subject of options.subjects) {
        const prefix = `${subject}, run ${run} of ${options.runs}`;
        const { groups } = options;
        const result = await measure({
          run,
          subject,
          workloads,
          sizes,
          groups,
          scratch,
          directory,
          signal,
          onMeasurement: ({ name, value, unit }) => say(`${prefix}: ${name} ${formatValue(value)} ${unit}`),
          onNote: sentence => say(`${prefix}: ${sentence}`),
        });
        if (result.failure !== undefined) say(`${prefix} FAILED: ${result.failure}`);
        done.push(result);
      }
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await removeIfEmpty(directory);
  }
  return done;
}

/** Subjects have removed what was theirs; what is left could not be unmounted, and must not be walked into. */
async function removeIfEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch(() => say(`${directory} is left, since something in it could not be ended`));
}

async function bench(options: BenchOptions, signal: AbortSignal): Promise<number> {
  const runs = await measureAll(options, signal);
  const { subjects, groups, sizes, mounts } = options;
  const comparisons = COMPARISONS.filter(
    ({ subject, reference }) => subjects.includes(subject) && subjects.includes(reference),
  );
  const rows = compare(runs, comparisons);
  const table = options.isMarkdown ? markdownTable : terminalTable;
  process.stdout.write(`${table(rows, { subjects, comparisons })}\n`);
  const lines = [...remarks(rows, runs), ...togetherBesideAlone(rows, subjects)];
  process.stdout.write(`${lines.join('\n')}\n`);
  const settings = mounts ? { mounts } : { groups, sizes };
  const results = { workloads: options.workloads.name, settings, subjects, runs, rows };
  for (const path of await keepResults(options.results, results)) say(path);
  return runs.some(({ failure }) => failure !== undefined) ? FAILED : 0;
}

async function main(): Promise<number> {
  // A user's own cluster is not what is measured.
  for (const name of Object.keys(process.env)) if (name.startsWith('DFS_')) delete process.env[name];
  const stop = new AbortController();
  let isStopped = false;
  onEndSignal(
    () => {
      if (!isStopped) say('interrupted; unmounting and ending what was started');
      isStopped = true;
      stop.abort(new Error('interrupted'));
    },
    // What was started has to be ended in any case.
    () => undefined,
  );
  try {
    const options = await readOptions(process.argv.slice(2));
    const reason = obstacle(options);
    if (reason === undefined) return await bench(options, stop.signal);
    say(`bench: ${reason}`);
    return FAILED;
  } catch (error) {
    const reason = error instanceof Error ? error : new Error(String(error));
    const isUsage = reason instanceof UsageError || reason.name === 'YError';
    // yargs writes lists of choices over several lines.
    say(`bench: ${reason.message.replaceAll(/\s*\n\s*/g, ' ')}`);
    return isUsage ? WRONG_USAGE : FAILED;
  }
}

process.exit(await main());
