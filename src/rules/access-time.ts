/** When reading moves an access time: mount(8)'s relatime, for the client that reads and the metadata server that records it. */
import { compareTimespec, type Timespec } from '../platform/clock.js';

const DAY_SECONDS = 24 * 60 * 60;

interface Times {
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
}

/**
 * mount(8), relatime: "Access time is only updated if the previous access time was earlier than or equal to the current modify
 * or change time", and since Linux 2.6.30 also if it "is older than 1 day".
 */
export function isAccessTimeDue({ atime, mtime, ctime }: Times, now: Timespec): boolean {
  return (
    compareTimespec(atime, mtime) <= 0 ||
    compareTimespec(atime, ctime) <= 0 ||
    now.sec - atime.sec >= DAY_SECONDS
  );
}

/**
 * Whether an access at `accessed` moves the time of an inode: one from before its last change would take back what was set
 * since (utimensat(2)), and tells nobody anything.
 */
export function movesAccessTime(times: Times, accessed: Timespec): boolean {
  return (
    isAccessTimeDue(times, accessed) &&
    compareTimespec(accessed, times.atime) > 0 &&
    compareTimespec(accessed, times.ctime) >= 0
  );
}
