/** `dfs status --watch` asks for the state every two seconds. On a terminal it shows all of it anew; in a pipe it tells what has changed. */
import { sleep, type Clock } from '../platform/clock.js';
import type { HealthCondition } from '../protocol/cluster-commands.js';
import { onEndSignal } from './interruption.js';

const ASK_AGAIN_MS = 2000;
/** Cursor to the corner, and everything below it removed. */
export const REPAINT = '\u001B[H\u001B[2J';

type Health = readonly HealthCondition[];

/** Calls `show` every two seconds until the first Ctrl-C or SIGTERM, then returns. Rejects as `show` does. */
export async function repeatUntilEnded(clock: Clock, show: () => Promise<void>): Promise<void> {
  let stopListening = (): void => undefined;
  const ended = new Promise<'ended'>(resolve => {
    stopListening = onEndSignal(() => resolve('ended'));
  });
  try {
    for (;;) {
      const shown = show();
      // At the end nobody waits for the answer of a server that stays away.
      shown.catch(() => undefined);
      if ((await Promise.race([shown, ended])) === 'ended') return;
      if ((await Promise.race([sleep(clock, ASK_AGAIN_MS), ended])) === 'ended') return;
    }
  } finally {
    stopListening();
  }
}

/**
 * A line for each code that came or went, with the time. At first: one for each code, or one that says that all is well.
 * @param before undefined at first
 */
export function changeLines(before: Health | undefined, now: Health, time: string): string[] {
  const has = (health: Health, { code }: HealthCondition): boolean => health.some(each => each.code === code);
  const came = now.filter(each => !has(before ?? [], each));
  const gone = (before ?? []).filter(each => !has(now, each));
  const lines = [
    ...came.map(({ code, severity, text }) => `${time} ${severity} ${code}: ${text}`),
    ...gone.map(({ code }) => `${time} over ${code}`),
  ];
  const isNews = before === undefined || gone.length > 0;
  return now.length === 0 && isNews ? [...lines, `${time} healthy`] : lines;
}
