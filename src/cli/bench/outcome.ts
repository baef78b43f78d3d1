/** The report of a task that ran in a process of its own, and the clock that all processes of a machine share. */

export interface Outcome {
  /** When the timed part began and ended, in nanoseconds of CLOCK_MONOTONIC. */
  readonly startNs: number;
  readonly endNs: number;
  /** How many operations it was. */
  readonly count: number;
  /** Microseconds an operation took, sorted, where each was timed. */
  readonly latenciesUs?: Float64Array;
  /** Stands for all names and bytes of a tree that was read. */
  readonly digest?: string;
}

export function nowNs(): number {
  return Number(process.hrtime.bigint());
}

/** Does `work`, which returns how many operations it did. */
export function timed(work: () => number): Outcome {
  const startNs = nowNs();
  const count = work();
  return { startNs, endNs: nowNs(), count };
}

/** From the first one's start to the last one's end. */
export function secondsOf(outcomes: readonly Outcome[]): number {
  const startNs = Math.min(...outcomes.map(outcome => outcome.startNs));
  return (Math.max(...outcomes.map(({ endNs }) => endNs)) - startNs) / 1e9;
}

export function countOf(outcomes: readonly Outcome[]): number {
  return outcomes.reduce((sum, { count }) => sum + count, 0);
}
