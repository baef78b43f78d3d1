/** What `redis-benchmark --csv` prints. */

export interface RedisBenchmarkResult {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** A line of names, and one line for the one test that ran. Throws when it is something else. */
export function parseRedisBenchmark(output: string): RedisBenchmarkResult {
  const [names = [], values = []] = output.trim().split('\n').map(fieldsOf);
  const valueOf = (name: string): number => {
    const value = Number(values[names.indexOf(name)]);
    if (Number.isFinite(value)) return value;
    throw new Error(`redis-benchmark said something else than expected: ${output}`);
  };
  return {
    requestsPerSecond: valueOf('rps'),
    p50Ms: valueOf('p50_latency_ms'),
    p99Ms: valueOf('p99_latency_ms'),
  };
}

function fieldsOf(line: string): string[] {
  return line.split(',').map(field => field.replaceAll('"', ''));
}
