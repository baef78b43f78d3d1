/** The areas of POSIX that test/posix/areas/*.py has cases for, run on a real mount. */
import type { Test } from 'tap';
import type { Cluster, MountProcess } from '../support/cluster.js';
import { inClone, runFile } from '../support/programs.js';

const AREA_TIMEOUT_MS = 150_000;

/** What DFS does otherwise, on purpose: the rule as the case has it → why. Taken off here when it holds. */
const DEVIATIONS: ReadonlyMap<string, string> = new Map([
  [
    'reading moves atime when it is older than mtime',
    'reading would become a change of metadata; DFS behaves as a mount with noatime',
  ],
]);

interface CaseResult {
  readonly rule: string;
  readonly source: string;
  readonly assertions: number;
  readonly failures: readonly string[];
  readonly skipped?: string;
}

/** A line of what run.py says; undefined for the last one. */
function parseResult(line: string): CaseResult | undefined {
  const result: unknown = JSON.parse(line);
  if (typeof result !== 'object' || result === null) throw new Error(`run.py said ${line}`);
  if ('done' in result) return undefined;
  // The program is ours, and in the same commit.
  return result as CaseResult;
}

export interface AreaOptions {
  /** Rules that are known not to hold on these mounts → why. One that holds all the same is a failure. */
  readonly broken?: ReadonlyMap<string, string>;
  /** Seconds after which a case counts as hanging. */
  readonly caseLimitS?: number;
  /** The mounts, when not the first two of the cluster. */
  readonly mounts?: readonly MountProcess[];
}

/**
 * Runs the cases of some areas on the first mount of a cluster; the second one, if there is one, is where a case looks
 * for what another client sees.
 */
export async function runAreas(
  t: Test,
  cluster: Cluster,
  areas: readonly string[],
  { broken = new Map(), caseLimitS = 60, mounts = cluster.mounts.slice(0, 2) }: AreaOptions = {},
): Promise<void> {
  const mountPoints = mounts.map(mount => mount.mountPoint);
  for (const area of areas)
    await t.test(area, async t => {
      const parameters = [inClone('test/posix/run.py'), area, ...mountPoints, '--limit', String(caseLimitS)];
      const { code, stdout, stderr } = await runFile('python3', parameters, { timeoutMs: AREA_TIMEOUT_MS });
      const lines = stdout.split('\n').filter(line => line !== '');
      const results = lines.map(parseResult);
      for (const result of results) if (result) report(t, result, broken);
      t.equal(code, 0, `run.py ${area} ran to its end ${stderr}`);
      t.equal(results.at(-1), undefined, 'every case had its turn');
      t.ok(results.length > 1, 'there are cases');
    });
}

function report(
  t: Test,
  { rule, source, assertions, failures, skipped }: CaseResult,
  broken: ReadonlyMap<string, string>,
): void {
  const name = `${rule} (${source}; ${assertions} assertions)`;
  const deviation = broken.get(rule) ?? DEVIATIONS.get(rule);
  if (skipped !== undefined) t.pass(name, { skip: skipped });
  else if (deviation === undefined) t.same(failures, [], name);
  else t.ok(failures.length > 0, `not so: ${name}; ${deviation}`);
}
