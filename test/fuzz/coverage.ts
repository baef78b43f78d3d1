/**
 * Which code of DFS was reached, by V8's own block coverage in this process (https://v8.dev/blog/javascript-code-coverage).
 *
 * V8 tells of blocks that were not reached, and joins those that were reached as often as what is around them. So what is kept
 * here of each function is what of it was never reached; an input that makes that less has reached something new.
 */
import { Session, type Profiler } from 'node:inspector';

const OURS = '/build/src/';

/** Parts of a source that were never reached, in order and apart. */
type Ranges = readonly (readonly [start: number, end: number])[];

export class Coverage {
  readonly #session = new Session();
  /** "script:start:end" of a function that was reached → what of it was not */
  readonly #missing = new Map<string, Ranges>();
  #reached = 0;

  start(): void {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  stop(): void {
    this.#session.disconnect();
  }

  /** How often something new was reached: functions and blocks. */
  get reached(): number {
    return this.#reached;
  }

  /** Whether something was reached since this or `takeNew` was asked last that never was before. */
  hasNew(): boolean {
    return this.#take(false);
  }

  /** The same; it is not new any more then. */
  takeNew(): boolean {
    return this.#take(true);
  }

  #take(isKept: boolean): boolean {
    let isNew = false;
    // A session on its own thread answers before `post` returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error) throw error;
      for (const { url, functions } of result) {
        if (!url.includes(OURS)) continue;
        for (const each of functions) if (this.#note(url, each, isKept)) isNew = true;
      }
    });
    return isNew;
  }

  #note(url: string, { ranges }: Profiler.FunctionCoverage, isKept: boolean): boolean {
    const [whole, ...blocks] = ranges;
    if (!whole || whole.count === 0) return false;
    const key = `${url}:${whole.startOffset}:${whole.endOffset}`;
    const before = this.#missing.get(key);
    if (before?.length === 0) return false;
    const missing: [number, number][] = [];
    for (const { count, startOffset, endOffset } of blocks) {
      const last = missing.at(-1);
      // Blocks within a block that was not reached say no more.
      if (count === 0 && (!last || startOffset >= last[1])) missing.push([startOffset, endOffset]);
    }
    const left = before ? common(before, missing) : missing;
    if (before && bytesOf(left) === bytesOf(before)) return false;
    if (isKept) {
      this.#missing.set(key, left);
      this.#reached += 1;
    }
    return true;
  }
}

function common(some: Ranges, others: Ranges): Ranges {
  const both: [number, number][] = [];
  for (const [start, end] of some) {
    for (const [from, until] of others) {
      const [first, last] = [Math.max(start, from), Math.min(end, until)];
      if (first < last) both.push([first, last]);
    }
  }
  return both;
}

function bytesOf(ranges: Ranges): number {
  return ranges.reduce((sum, [start, end]) => sum + end - start, 0);
}
