/** From the measurements of several runs to medians, ratios, and which targets are met. */
import type { Measurement } from '../../src/cli/bench/measurement.js';
import type { SubjectName } from './subject.js';
import { isMet, targetOf, type Comparison, type Target } from './targets.js';

/** What was measured of one subject in one run. */
export interface SubjectRun {
  /** From 1 on. */
  readonly run: number;
  readonly subject: SubjectName;
  readonly measurements: readonly Measurement[];
  /** Why it ended before all was measured. */
  readonly failure?: string;
}

export interface Summary {
  readonly median: number;
  /** The largest is more than a quarter above the smallest. */
  readonly isUnsteady: boolean;
}

export interface Ratio {
  readonly comparison: Comparison;
  /** Of speeds; of amounts for memory. */
  readonly ratio: number;
  readonly target: Target | undefined;
  /** Undefined without a target. */
  readonly isMet: boolean | undefined;
}

export interface Row {
  readonly workload: string;
  readonly unit: string;
  readonly summaries: ReadonlyMap<SubjectName, Summary>;
  readonly ratios: readonly Ratio[];
}

const UNSTEADY = 1.25;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

const LATENCIES: ReadonlySet<string> = new Set(['s', 'ms']);

/** How many times as fast as the reference; of amounts (MiB, µs/op), how many times as much. */
export function ratioOf(unit: string, value: number, reference: number): number {
  return LATENCIES.has(unit) ? reference / value : value / reference;
}

/** One row a workload, in the order in which they were measured first. */
export function compare(runs: readonly SubjectRun[], comparisons: readonly Comparison[]): Row[] {
  /** workload → its unit, and what was measured of each subject */
  const workloads = new Map<string, { unit: string; values: Map<SubjectName, number[]> }>();
  for (const { subject, measurements } of runs) {
    for (const { name, unit, value } of measurements) {
      const workload = workloads.get(name) ?? { unit, values: new Map<SubjectName, number[]>() };
      workloads.set(name, workload);
      workload.values.set(subject, [...(workload.values.get(subject) ?? []), value]);
    }
  }
  return [...workloads].map(([workload, { unit, values }]) => {
    const summaries = new Map([...values].map(([subject, each]) => [subject, summarize(each)]));
    const ratios = comparisons.flatMap(comparison => ratioIn(workload, unit, summaries, comparison) ?? []);
    return { workload, unit, summaries, ratios };
  });
}

function summarize(values: readonly number[]): Summary {
  return { median: median(values), isUnsteady: Math.max(...values) > UNSTEADY * Math.min(...values) };
}

function ratioIn(
  workload: string,
  unit: string,
  summaries: ReadonlyMap<SubjectName, Summary>,
  comparison: Comparison,
): Ratio | undefined {
  const value = summaries.get(comparison.subject);
  const reference = summaries.get(comparison.reference);
  if (!value || !reference) return undefined;
  const ratio = ratioOf(unit, value.median, reference.median);
  const target = targetOf(workload, comparison);
  return { comparison, ratio, target, isMet: target && isMet(target, ratio) };
}
