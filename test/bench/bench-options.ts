/** The command line of `npm run bench --`. */
import { resolve } from 'node:path';
import yargs from 'yargs';
import { parseGroups } from '../../src/cli/bench/groups.js';
import { FULL_SIZES, QUICK_SIZES, type Sizes } from '../../src/cli/bench/sizes.js';
import { parseCount } from '../../src/cli/quantity.js';
import { UsageError } from '../../src/cli/usage-error.js';
import { inClone } from '../support/programs.js';
import { BENCH_GROUP_NAMES, type BenchGroupName } from './bench-groups.js';
import {
  FULL_MOUNTS_SIZES,
  QUICK_MOUNTS_SIZES,
  severalMounts,
  type MountsOptions,
} from './mounts/workloads.js';
import { strictOptions } from './strict-options.js';
import { chosenSubjects, parseSubjects, PEER_NAMES, type PeerName } from './subject-choice.js';
import { SHARED_SUBJECTS, type SubjectName } from './subject.js';
import { findWorkloads, type Workloads } from './workloads.js';

const MAX_RUNS = 100;
const MAX_MOUNTS = 100;
const HELP_COLUMNS = 110;
const DEFAULT_MOUNTS_SUBJECTS: readonly SubjectName[] = ['dfs1', 'moosefs1'];

export interface BenchOptions {
  readonly subjects: readonly SubjectName[];
  readonly groups: readonly BenchGroupName[];
  readonly sizes: Sizes;
  /** Undefined when one mount is measured. */
  readonly mounts: MountsOptions | undefined;
  readonly runs: number;
  readonly workloads: Workloads;
  readonly isMarkdown: boolean;
  readonly results: string;
}

/** Throws UsageError with a sentence for the user. */
export async function readOptions(parameters: readonly string[]): Promise<BenchOptions> {
  const options = yargs(parameters)
    .scriptName('npm run bench --')
    .usage('$0 [options]\n\nMeasures DFS and what it is compared with.')
    .option('subjects', { type: 'string', requiresArg: true, describe: 'what is measured, in this order' })
    .option('peer', { choices: PEER_NAMES, describe: 'compare with it, with as many replicas' })
    .option('only', { type: 'string', requiresArg: true, describe: 'groups of workloads; default all' })
    .option('mounts', {
      type: 'string',
      requiresArg: true,
      describe: 'several mounts at work together, e.g. 2,4; by default DFS beside MooseFS, goal 1',
    })
    .option('server-mounts', {
      type: 'string',
      requiresArg: true,
      describe: "numbers of mounts for the metadata server's processor time; default as --mounts",
    })
    .option('runs', { type: 'string', requiresArg: true, default: '2', describe: 'of each subject, in turn' })
    .option('quick', { type: 'boolean', default: false, describe: 'small sizes, to see that it works' })
    .option('own', {
      type: 'boolean',
      default: false,
      describe: 'the workloads of `dfs bench`, also where fsbench is there',
    })
    .option('markdown', { type: 'boolean', default: false, describe: 'the table in Markdown' })
    .option('results', {
      type: 'string',
      requiresArg: true,
      default: inClone('test/bench/results'),
      describe: 'where numbers and picture are kept',
    })
    .wrap(HELP_COLUMNS);
  const given = await strictOptions(options).parseAsync();
  const mounts = readMounts(given.mounts, given.serverMounts, given.quick);
  if (mounts && (given.only !== undefined || given.own)) {
    throw new UsageError('--only and --own choose workloads of one mount; leave them out with --mounts');
  }
  const groups = parseGroups(given.only ?? BENCH_GROUP_NAMES.join(','), BENCH_GROUP_NAMES);
  if (typeof groups === 'string') throw new UsageError(groups);
  return {
    subjects: readSubjects(given.subjects, given.peer, mounts !== undefined),
    groups,
    sizes: given.quick ? QUICK_SIZES : FULL_SIZES,
    mounts,
    runs: parseCount(given.runs, 'number of runs', 1, MAX_RUNS),
    workloads: mounts ? severalMounts(mounts) : findWorkloads(given.own),
    isMarkdown: given.markdown,
    results: resolve(given.results),
  };
}

function readSubjects(
  text: string | undefined,
  peer: PeerName | undefined,
  areShared: boolean,
): SubjectName[] {
  const given = text === undefined ? undefined : parseSubjects(text);
  if (typeof given === 'string') throw new UsageError(given);
  if (!areShared) return chosenSubjects(given, peer);
  const subjects = chosenSubjects(given ?? DEFAULT_MOUNTS_SUBJECTS, peer);
  const single = subjects.find(subject => !SHARED_SUBJECTS.includes(subject));
  if (single === undefined) return subjects;
  throw new UsageError(
    `'${single}' cannot be mounted several times; give some of ${SHARED_SUBJECTS.join(',')}`,
  );
}

function readMounts(
  together: string | undefined,
  serverTime: string | undefined,
  isQuick: boolean,
): MountsOptions | undefined {
  if (together === undefined) {
    if (serverTime !== undefined) throw new UsageError('--server-mounts is given with --mounts alone');
    return undefined;
  }
  return {
    together: parseMountCounts(together),
    serverTime: parseMountCounts(serverTime ?? together),
    sizes: isQuick ? QUICK_MOUNTS_SIZES : FULL_MOUNTS_SIZES,
  };
}

/** `2,4`, in ascending order. */
function parseMountCounts(text: string): number[] {
  const counts = text.split(',').map(each => parseCount(each, 'number of mounts', 1, MAX_MOUNTS));
  return [...new Set(counts)].toSorted((a, b) => a - b);
}
