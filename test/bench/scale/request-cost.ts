/** The cost of a request: its time, and the server's processor time. */
import { readdir, readFile } from 'node:fs/promises';

/** Of the requests, first sent so that code is compiled and caches are what they usually are. */
const WARM_UP = 0.2;
/** So often the turn goes round. */
const ROUNDS = 20;

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
  const series = new RequestSeries(measured);
  await series.warmUp(1);
  await series.send(1);
  return series.cost;
}

/**
 * Measures what is to be compared with each other in turns, a block of requests each: what the machine does besides, its
 * clock rate, and how much of this program is compiled by then, change from one minute to the next, and would otherwise
 * be taken for a difference. Returns the costs in the order of what was measured.
 */
export async function measureInTurns(measured: readonly MeasuredRequests[]): Promise<RequestCost[]> {
  const all = measured.map(each => new RequestSeries(each));
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const series of all) await series.warmUp(round / ROUNDS);
  }
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const series of all) await series.send(round / ROUNDS);
  }
  return all.map(({ cost }) => cost);
}

/** The requests of one kind to one server, sent a part at a time. */
class RequestSeries {
  readonly #measured: MeasuredRequests;
  readonly #warmUps: number;
  readonly #samples: Float64Array;
  #warmedUp = 0;
  #sent = 0;
  #serverNanoseconds = 0;

  constructor(measured: MeasuredRequests) {
    this.#measured = measured;
    this.#warmUps = Math.ceil(measured.count * WARM_UP);
    this.#samples = new Float64Array(measured.count);
  }

  /** Goes on until that part of the first requests, which do not count, is sent. */
  async warmUp(part: number): Promise<void> {
    const { signal, request } = this.#measured;
    for (; this.#warmedUp < part * this.#warmUps; this.#warmedUp += 1) {
      signal.throwIfAborted();
      await request(this.#warmedUp);
    }
  }

  /** Goes on until that part of the requests that count is sent. */
  async send(part: number): Promise<void> {
    const { count, serverPid, signal, request } = this.#measured;
    const before = await processorNanoseconds(serverPid);
    for (; this.#sent < part * count; this.#sent += 1) {
      signal.throwIfAborted();
      const startedMs = performance.now();
      await request(this.#warmUps + this.#sent);
      this.#samples[this.#sent] = (performance.now() - startedMs) * 1000;
    }
    this.#serverNanoseconds += (await processorNanoseconds(serverPid)) - before;
  }

  get cost(): RequestCost {
    return {
      microseconds: medianOf(this.#samples),
      serverMicroseconds: this.#serverNanoseconds / 1000 / this.#measured.count,
    };
  }
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
