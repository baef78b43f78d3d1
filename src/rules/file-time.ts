/** What times an inode can have, and what a commit makes of them. Metadata server and client follow the same rules. */
import { compareTimespec, type Timespec } from '../platform/clock.js';

/** The times of ext4 (inodes of 256 bytes): 34 bits of seconds, from 1901-12-13 to 2446-05-10. */
export const MIN_TIME_SEC = -(2 ** 31);
export const MAX_TIME_SEC = 2 ** 34 - 1 - 2 ** 31;
/** A client's idea of the metadata server's clock may be so far ahead of it. */
const MAX_AHEAD_SEC = 1;

/** The nearest time that an inode can have, as timestamp_truncate() in Linux has it: the ends of the range are whole seconds. */
export function clampTime(time: Timespec): Timespec {
  if (time.sec <= MIN_TIME_SEC) return { sec: MIN_TIME_SEC, nsec: 0 };
  if (time.sec >= MAX_TIME_SEC) return { sec: MAX_TIME_SEC, nsec: 0 };
  return time;
}

/** A time that a client has shown, unless it is later than clocks may differ: then `now`, by the metadata server's clock. */
export function shownTime(shown: Timespec, now: Timespec): Timespec {
  return isAhead(shown, now) ? now : clampTime(shown);
}

/**
 * A file's ctime after a commit of what was written at `written`: it does not go back, unless it is later than the
 * metadata server's clock, which somebody has set.
 */
export function ctimeAfter(before: Timespec, written: Timespec, now: Timespec): Timespec {
  const given = shownTime(written, now);
  return isAhead(before, now) || compareTimespec(before, given) < 0 ? given : before;
}

function isAhead(time: Timespec, now: Timespec): boolean {
  return compareTimespec(time, { sec: now.sec + MAX_AHEAD_SEC, nsec: now.nsec }) > 0;
}
