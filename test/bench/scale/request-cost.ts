/** What a request costs: the time that one takes, and the processor time that a server needs for it. */
import { readdir, readFile } from 'node:fs/promises';

/** Of the requests, first sent so that code is compiled and caches are what they usually are. */
const WARM_UP = 0.2;

export interface RequestCost {
  /** The median. */
  readonly microseconds: number;
  /** Processor time of the server for one, on average. */
  readonly serverMicroseconds: number;
}

export interface MeasuredRequests {
  readonly count: number;
  /** The process that answers. */
  readonly serverPid: number;
  readonly signal: AbortSignal;
  readonly request: (index: number) => Promise<unknown>;
}

/** Sends requests one after the other; their indexes begin at 0 and are all different. */
export async function measureRequests(measured: MeasuredRequests): Promise<RequestCost> {
  const { count, serverPid, signal, request } = measured;
  const warmUp = Math.ceil(count * WARM_UP);
  for (let index = 0; index < warmUp; index += 1) {
    signal.throwIfAborted();
    await request(index);
  }
  const samples = new Float64Array(count);
  const before = await processorNanoseconds(serverPid);
  for (let index = 0; index < count; index += 1) {
    signal.throwIfAborted();
    const startedMs = performance.now();
    await request(warmUp + index);
    samples[index] = (performance.now() - startedMs) * 1000;
  }
  const used = (await processorNanoseconds(serverPid)) - before;
  return { microseconds: medianOf(samples), serverMicroseconds: used / 1000 / count };
}

export function medianOf(samples: Float64Array): number {
  const sorted = Float64Array.from(samples).sort();
  const middle = sorted.length >>> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

/** Of all threads that the process has now (proc(5), schedstat: the first number is the time spent on a processor). */
async function processorNanoseconds(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const each = await Promise.all(
    threads.map(async thread => {
      // A thread may have ended meanwhile.
      const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0');
      return Number(text.split(' ')[0]);
    }),
  );
  return each.reduce((sum, ns) => sum + ns, 0);
}
