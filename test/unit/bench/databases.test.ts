/** What pgbench and redis-benchmark print. */
import t from 'tap';
import { parsePgbench } from '../../bench/databases/pgbench-output.js';
import { parseRedisBenchmark } from '../../bench/databases/redis-benchmark-output.js';

const PGBENCH = `pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: <builtin: TPC-B (sort of)>
scaling factor: 5
query mode: simple
number of clients: 4
number of threads: 1
maximum number of tries: 1
duration: 4 s
number of transactions actually processed: 1234
number of failed transactions: 2 (0.162%)
latency average = 12.966 ms
initial connection time = 7.115 ms
tps = 308.493827 (without initial connection time)
`;

const REDIS = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"SET","1754.39","0.565","0.392","0.535","0.735","1.127","1.951"
`;

t.test('pgbench tells speed, latency and how many transactions there were', async t => {
  t.same(parsePgbench(PGBENCH), {
    transactionsPerSecond: 308.493827,
    latencyMs: 12.966,
    count: 1234,
    failed: 2,
  });
  t.throws(
    () => parsePgbench('pgbench: error: connection failed'),
    /^.*said something else than expected: pgbench: error/,
  );
});

t.test('redis-benchmark tells speed and latencies', async t => {
  t.same(parseRedisBenchmark(REDIS), { requestsPerSecond: 1754.39, p50Ms: 0.535, p99Ms: 1.127 });
  t.throws(
    () => parseRedisBenchmark('Could not connect to Redis'),
    /said something else than expected: Could not connect/,
  );
  t.throws(() => parseRedisBenchmark(''), /said something else/);
});
