/** Waiting for a condition instead of for a time. */

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
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), deadlineMs);
  // A condition that hangs is one that does not hold.
  const isLate = new Promise<'late'>(resolve => late.signal.addEventListener('abort', () => resolve('late')));
  try {
    for (;;) {
      const held = await Promise.race([condition(), isLate]);
      if (held === true) return;
      if (held === 'late' || late.signal.aborted)
        throw new Error(`waited ${deadlineMs} ms in vain until ${what}`);
      await new Promise<void>(resolve => {
        setTimeout(resolve, POLL_MS);
      });
    }
  } finally {
    clearTimeout(timer);
  }
}
