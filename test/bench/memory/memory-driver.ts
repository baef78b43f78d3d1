/**
 * `npm run bench:memory -- [--files 1000000] [--minutes 10] [--clone DIRECTORY]`: how much memory a mount takes while very many
 * small files are made, found, listed and read, as a picture; beside it, the same of another clone.
 */
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import yargs from 'yargs';
import { onEndSignal } from '../../../src/cli/interruption.js';
import { parseCount } from '../../../src/cli/quantity.js';
import { inClone } from '../../support/programs.js';
import { currentCommit, dateForName, machine } from '../results.js';
import { strictOptions } from '../strict-options.js';
import { memoryChart } from './memory-chart.js';
import { MemoryRun, type MemoryResult } from './memory-run.js';
import { MemorySubject } from './memory-subject.js';

const HELP_COLUMNS = 110;
const MINUTE_MS = 60_000;
const FAILED = 1;
/** What a mount may have with the default --cache-size (README, "How much memory it takes"). */
const BOUND_MIB = 330;

async function readOptions() {
  const options = yargs(process.argv.slice(2))
    .scriptName('npm run bench:memory --')
    .usage('$0 [options]\n\nMeasures how much memory a mount takes while many small files pass through it.')
    .option('files', {
      type: 'string',
      default: '1000000',
      describe: 'of 70 bytes, a thousand in a directory',
    })
    .option('minutes', {
      type: 'string',
      default: '30',
      describe: 'for each clone; half of it to make the files',
    })
    .option('clone', { type: 'string', describe: 'an earlier clone that is built, measured after this one' })
    .option('cache-size', { type: 'string', describe: 'of the mounts' })
    .option('results', {
      type: 'string',
      default: inClone('test/bench/results'),
      describe: 'where the results go',
    })
    .wrap(HELP_COLUMNS);
  return await strictOptions(options).parseAsync();
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function main(): Promise<number> {
  for (const name of Object.keys(process.env)) if (name.startsWith('DFS_')) delete process.env[name];
  const stop = new AbortController();
  onEndSignal(() => {
    say('interrupted; ending what was started');
    stop.abort(new Error('interrupted'));
  });
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'dfs-memory-')));
  try {
    const given = await readOptions();
    const files = parseCount(given.files, 'number of files', 1000, 1e8);
    const limitMs = parseCount(given.minutes, 'number of minutes', 1, 1000) * MINUTE_MS;
    const mountOptions = given.cacheSize === undefined ? [] : [`--cache-size=${given.cacheSize}`];
    const results: MemoryResult[] = [];
    const clones = [['now', inClone('')], ...(given.clone ? [['before', resolve(given.clone)]] : [])];
    for (const [name = '', clone = ''] of clones) {
      const subject = new MemorySubject(clone, join(directory, name), mountOptions);
      try {
        await subject.start();
        const run = new MemoryRun(subject, { name, files, limitMs, signal: stop.signal, say });
        results.push(await run.measure());
      } finally {
        await subject.close();
      }
    }
    await keep(resolve(given.results), results, files);
    const [now] = results;
    return (now?.mostMib ?? Number.POSITIVE_INFINITY) <= BOUND_MIB ? 0 : FAILED;
  } catch (error) {
    say(`bench:memory: ${error instanceof Error ? error.message : String(error)}`);
    return FAILED;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Writes the numbers as JSON, and the picture. */
async function keep(directory: string, results: readonly MemoryResult[], files: number): Promise<void> {
  const commit = currentCommit();
  await mkdir(directory, { recursive: true });
  const base = join(directory, `memory-${dateForName(new Date())}-${commit}`);
  const summary = results.map(({ samples, ...rest }) => ({ ...rest, samples: samples.length }));
  process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
  const json = { date: new Date().toISOString(), commit, machine: machine(), files, results: summary };
  await writeFile(`${base}.json`, `${JSON.stringify(json, null, 2)}\n`);
  const samples = results.flatMap(result => result.samples);
  const title = `A mount's memory while ${files} files of 70 bytes are made, found, listed and read`;
  await writeFile(`${base}.svg`, await memoryChart(samples, BOUND_MIB, title));
  say(`${base}.svg`);
}

process.exit(await main());
