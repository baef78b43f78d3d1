/** What pgbench prints at the end of a run. */

export interface PgbenchResult {
  readonly transactionsPerSecond: number;
  readonly latencyMs: number;
  /** Transactions that were committed. */
  readonly count: number;
  /** Those that were not. */
  readonly failed: number;
}

/** Throws when it is something else. */
export function parsePgbench(output: string): PgbenchResult {
  return {
    transactionsPerSecond: numberIn(output, /^tps = ([\d.]+) /m),
    latencyMs: numberIn(output, /^latency average = ([\d.]+) ms$/m),
    count: numberIn(output, /^number of transactions actually processed: (\d+)/m),
    failed: numberIn(output, /^number of failed transactions: (\d+) /m),
  };
}

function numberIn(output: string, pattern: RegExp): number {
  const found = pattern.exec(output)?.[1];
  if (found === undefined) throw new Error(`pgbench said something else than expected: ${output}`);
  return Number(found);
}
