/** What an attack does to a server's memory and processor, and to an honest client beside it. */
import type { Test } from 'tap';
import { inClone } from '../programs.js';
import type { ServerProcess } from '../server-process.js';
import { HonestClient, type Latencies } from './honest-client.js';
import { ProcessUsage, type Usage } from './process-usage.js';

/** Commands that ask for nothing in particular: `statfs` of a metadata server, `info` of a data node. */
const STATFS = 26;
const INFO = 1004;

export interface Measured extends Usage, Latencies {}

/** Runs the attack, and says what came of it; the honest client must have had every answer. */
export async function measureAttack(
  t: Test,
  server: ServerProcess,
  name: string,
  keyPath: string,
  attack: () => Promise<void>,
): Promise<Measured> {
  const honest = new HonestClient({
    clone: inClone(''),
    endpoint: server.endpoint,
    command: server.name === 'metadata' ? STATFS : INFO,
    server: server.name === 'metadata' ? 'metadata' : 'data',
    keyPath,
  });
  await honest.started();
  const watch = new ProcessUsage(server.pid);
  await attack();
  const measured = { ...(await honest.stop()), ...watch.usage };
  t.comment(`${name}, ${server.name}: ${describeMeasured(measured)}`);
  t.same(measured.failures, [], 'the honest client had every answer');
  t.ok(measured.answers > 0, `${measured.answers} of them`);
  return measured;
}

export function describeMeasured({ beforeMib, peakMib, cpuSeconds, p50Ms, p99Ms, maxMs }: Measured): string {
  const times = [p50Ms, p99Ms, maxMs].map(ms => ms.toFixed(1));
  return `RSS ${beforeMib} → ${peakMib} MiB, CPU ${cpuSeconds.toFixed(2)} s, honest client p50 ${times[0]} ms, p99 ${times[1]} ms, longest ${times[2]} ms`;
}
