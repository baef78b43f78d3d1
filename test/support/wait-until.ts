/** Waiting for a condition instead of for a time. */
import { isDoneWithin, sleep, systemClock } from '../../src/platform/clock.js';

const POLL_MS = 25;

export interface WaitOptions {
  /** How long to wait at most; default a minute. */
  readonly deadlineMs?: number;
  /** What is waited for, for the error message. */
  readonly what: string;
}

/**
 * Resolves when `condition` holds. What it throws ends the waiting; when the deadline passes, this throws and says what
 * did not happen.
 */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  { deadlineMs = 60_000, what }: WaitOptions,
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    // A condition that hangs is one that does not hold.
    const held = Promise.resolve(condition());
    const isKnown = await isDoneWithin(systemClock, Math.max(0, endMs - performance.now()), held);
    if (isKnown && (await held)) return;
    if (performance.now() > endMs) throw new Error(`waited ${deadlineMs} ms in vain until ${what}`);
    await sleep(systemClock, POLL_MS);
  }
}
