/** Keeps the results of a benchmark: all numbers as JSON, and the picture. */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { inClone } from '../support/programs.js';
import { chart } from './chart.js';
import type { Row, SubjectRun } from './comparison.js';
import type { SubjectName } from './subject.js';

export interface Results {
  readonly workloads: string;
  /** What was measured how: groups, sizes, numbers of mounts. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly subjects: readonly SubjectName[];
  readonly runs: readonly SubjectRun[];
  readonly rows: readonly Row[];
}

/** Writes the files; returns their paths. */
export async function keepResults(directory: string, results: Results): Promise<string[]> {
  const { rows, subjects, settings, ...kept } = results;
  await mkdir(directory, { recursive: true });
  const commit = currentCommit();
  const base = join(directory, `${dateForName(new Date())}-${commit}`);
  const medians = subjects.map(subject => [
    subject,
    Object.fromEntries(
      rows.map(({ workload, unit, summaries }) => [
        `${workload} ${unit}`,
        summaries.get(subject)?.median ?? null,
      ]),
    ),
  ]);
  const json = {
    date: new Date().toISOString(),
    commit,
    machine: machine(),
    ...settings,
    ...kept,
    medians: Object.fromEntries(medians) as unknown,
    ratios: rows.flatMap(({ workload, ratios }) => ratios.map(ratio => ({ workload, ...ratio }))),
  };
  await writeFile(`${base}.json`, `${JSON.stringify(json, null, 2)}\n`);
  await writeFile(`${base}.svg`, await chart(rows, subjects));
  return [`${base}.json`, `${base}.svg`];
}

/** What the numbers depend on besides the programs. */
export function machine(): object {
  return {
    processors: cpus().length,
    model: cpus()[0]?.model ?? '',
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
  };
}

/** 2026-01-31T091500, in UTC. */
export function dateForName(date: Date): string {
  return date.toISOString().slice(0, 19).replaceAll(':', '');
}

/** Its short name; with `-changed` when what was measured is not what was committed. */
export function currentCommit(): string {
  const git = (...parameters: string[]): string =>
    execFileSync('git', ['-C', inClone(''), ...parameters], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    const isChanged = git('status', '--porcelain') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? '-changed' : ''}`;
  } catch {
    // Not a clone, or no git.
    return 'unknown';
  }
}
