/**
 * `npm run bench:scale -- [--inodes 10000,1000000] [--only names,directory,fragments,sessions,recalls,start] [--quick]`: what
 * requests cost as a file system grows, and whether that stays what it was.
 */
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import yargs from 'yargs';
import { onEndSignal } from '../../../src/cli/interruption.js';
import { parseCount } from '../../../src/cli/quantity.js';
import { UsageError } from '../../../src/cli/usage-error.js';
import { inClone } from '../../support/programs.js';
import { currentCommit, dateForName, machine } from '../results.js';
import { strictOptions } from '../strict-options.js';
import { CostBook, isKept, type CostSeries } from './cost-series.js';
import { measureDirectory } from './directory-cost.js';
import { FragmentCost } from './fragment-cost.js';
import { measureNames } from './names-cost.js';
import type { ScaleContext } from './scale-context.js';
import { parseScaleGroups, SCALE_GROUPS, type ScaleGroup } from './scale-groups.js';
import { markdownTables, terminalTables } from './scale-report.js';
import { measureRecalls } from './recall-cost.js';
import { FULL_SCALE, QUICK_SCALE, type ScaleSizes } from './scale-sizes.js';
import { measureSessions } from './session-cost.js';
import { measureStart } from './start-cost.js';

const MIN_INODES = 1000;
const MAX_INODES = 1e9;
const HELP_COLUMNS = 110;
const FAILED = 1;
const WRONG_USAGE = 2;

const MEASURES: Readonly<Record<ScaleGroup, (context: ScaleContext) => Promise<void>>> = {
  names: measureNames,
  directory: measureDirectory,
  fragments: async context => await new FragmentCost(context).measure(),
  sessions: measureSessions,
  recalls: measureRecalls,
  start: measureStart,
};

interface ScaleOptions {
  readonly groups: readonly ScaleGroup[];
  readonly sizes: ScaleSizes;
  readonly isMarkdown: boolean;
  readonly results: string;
}

async function readOptions(parameters: readonly string[]): Promise<ScaleOptions> {
  const options = yargs(parameters)
    .scriptName('npm run bench:scale --')
    .usage('$0 [options]\n\nMeasures what requests cost as a file system grows.')
    .option('inodes', {
      type: 'string',
      requiresArg: true,
      describe: `in the database, each size in turn [default: ${FULL_SCALE.inodes.join(',')}]`,
    })
    .option('only', {
      type: 'string',
      requiresArg: true,
      default: SCALE_GROUPS.join(','),
      describe: 'groups of measurements',
    })
    .option('quick', { type: 'boolean', default: false, describe: 'small sizes, to see that it works' })
    .option('markdown', { type: 'boolean', default: false, describe: 'the tables in Markdown' })
    .option('results', {
      type: 'string',
      requiresArg: true,
      default: inClone('test/bench/results'),
      describe: 'where the numbers are kept',
    })
    .wrap(HELP_COLUMNS);
  const given = await strictOptions(options).parseAsync();
  const groups = parseScaleGroups(given.only);
  if (typeof groups === 'string') throw new UsageError(groups);
  const sizes = given.quick ? QUICK_SCALE : FULL_SCALE;
  const inodes = given.inodes
    ?.split(',')
    .map(text => parseCount(text, 'number of inodes', MIN_INODES, MAX_INODES));
  return {
    groups,
    sizes: inodes ? { ...sizes, inodes } : sizes,
    isMarkdown: given.markdown,
    results: resolve(given.results),
  };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function measureAll({ groups, sizes }: ScaleOptions, signal: AbortSignal): Promise<CostSeries[]> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'dfs-scale-')));
  const series: CostSeries[] = [];
  try {
    for (const group of groups) {
      const book = new CostBook(group, say);
      await MEASURES[group]({ directory, sizes, book, signal });
      series.push(...book.series);
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return series;
}

/** Writes all numbers as JSON; returns the path. */
async function keep(options: ScaleOptions, series: readonly CostSeries[]): Promise<string> {
  const commit = currentCommit();
  await mkdir(options.results, { recursive: true });
  const path = join(options.results, `scale-${dateForName(new Date())}-${commit}.json`);
  const { sizes, groups } = options;
  const json = { date: new Date().toISOString(), commit, machine: machine(), groups, sizes, series };
  await writeFile(path, `${JSON.stringify(json, null, 2)}\n`);
  return path;
}

async function main(): Promise<number> {
  // A user's own cluster is not what is measured.
  for (const name of Object.keys(process.env)) if (name.startsWith('DFS_')) delete process.env[name];
  const stop = new AbortController();
  onEndSignal(() => {
    say('interrupted; ending what was started');
    stop.abort(new Error('interrupted'));
  });
  try {
    const options = await readOptions(process.argv.slice(2));
    const series = await measureAll(options, stop.signal);
    const tables = options.isMarkdown ? markdownTables : terminalTables;
    process.stdout.write(`${tables(series)}\n`);
    say(await keep(options, series));
    const isBroken = series.some(each => isKept(each) === false);
    // Small sizes say nothing about what is promised of large ones.
    return isBroken && options.sizes.requests === FULL_SCALE.requests ? FAILED : 0;
  } catch (error) {
    const reason = error instanceof Error ? error : new Error(String(error));
    const isUsage = reason instanceof UsageError || reason.name === 'YError';
    say(`bench:scale: ${reason.message.replaceAll(/\s*\n\s*/g, ' ')}`);
    return isUsage ? WRONG_USAGE : FAILED;
  }
}

process.exit(await main());
