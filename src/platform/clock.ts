/**
 * Time comes in through this interface (docs/decisions/09), so that a simulation can run a whole cluster on its own
 * clock.
 */

/** A moment since the Unix epoch. Two integers, because nanoseconds since 1970 do not fit a JavaScript number. */
export interface Timespec {
  readonly sec: number;
  /** 0 … 999 999 999 */
  readonly nsec: number;
}

/** A timer that was started and can be stopped. Stopping it twice is harmless. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds on a clock that never jumps back; only differences mean something. */
  monotonicMs(): number;
  /** Wall-clock time, as it goes into file times. */
  now(): Timespec;
  /**
   * Calls `callback` once after `delayMs`.
   * @param background the timer alone does not keep the process alive
   */
  setTimer(delayMs: number, callback: () => void, background?: boolean): Timer;
  /** Calls `callback` when what is ready now has run: the next turn of the event loop. */
  atNextTurn(callback: () => void): void;
}

/** How far (ms) the finely divided clock below may be from the system's before it is set anew. */
const MAX_CLOCK_DRIFT_MS = 2;

let wallMinusMonotonicMs = Date.now() - performance.now();

/** The machine's own clock. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  now() {
    // Date.now() has only milliseconds, which would give files written one after the other the same time;
    // performance.now() has more digits but does not follow when the system's clock is set.
    const system = Date.now();
    let ms = performance.now() + wallMinusMonotonicMs;
    if (Math.abs(ms - system) > MAX_CLOCK_DRIFT_MS) {
      wallMinusMonotonicMs = system - performance.now();
      ms = system;
    }
    const sec = Math.floor(ms / 1000);
    return { sec, nsec: Math.floor((ms - sec * 1000) * 1000) * 1000 };
  },
  setTimer(delayMs, callback, background = false) {
    const timer = setTimeout(callback, delayMs);
    if (background) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  atNextTurn: callback => void setImmediate(callback),
};

/** Whole ms since the epoch, by the wall clock as it was at this call: setting that clock later changes nothing. */
export function steadyClock(clock: Clock): () => number {
  const { sec, nsec } = clock.now();
  const offsetMs = sec * 1000 + nsec / 1e6 - clock.monotonicMs();
  return () => Math.floor(offsetMs + clock.monotonicMs());
}

/** Resolves after `delayMs` on the given clock. */
export async function sleep(clock: Clock, delayMs: number): Promise<void> {
  await new Promise<void>(resolve => {
    clock.setTimer(delayMs, resolve);
  });
}

/** Resolves in the next turn of the event loop. */
export async function nextTurn(clock: Clock): Promise<void> {
  await new Promise<void>(resolve => clock.atNextTurn(resolve));
}

/** Resolves when `work` does, or after `limitMs`: true if it was `work`. Rejects as `work` does. */
export async function isDoneWithin(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<boolean> {
  return await new Promise<boolean>((resolve, reject) => {
    const timer = clock.setTimer(limitMs, () => resolve(false));
    work.then(
      () => {
        timer.cancel();
        resolve(true);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

/** -1, 0 or 1 as `a` is before, at or after `b`. */
export function compareTimespec(a: Timespec, b: Timespec): -1 | 0 | 1 {
  const difference = a.sec - b.sec || a.nsec - b.nsec;
  return difference < 0 ? -1 : difference > 0 ? 1 : 0;
}
