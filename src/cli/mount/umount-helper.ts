/**
 * umount.fuse.dfs: what umount(8) calls for what it finds mounted as fuse.dfs, and by it systemd. So umount(8) returns when everything is
 * stored.
 */
import { UsageError } from '../usage-error.js';
import { FAILED, unmount, unmountStored } from './unmount.js';

export const UMOUNT_HELPER = 'umount.fuse.dfs';

/** umount(8), "EXIT STATUS": incorrect invocation. */
const WRONG_USAGE = 1;

export interface UmountCall {
  readonly mountPoint: string;
  /** For umount(8). */
  readonly flags: readonly string[];
  /** Whether it is over when everything is stored. */
  readonly isWaiting: boolean;
}

/** What umount(8) gives a helper: DIRECTORY [-flnrv] [-N NAMESPACE] [-t TYPE]. UsageError. */
export function umountCall(given: readonly string[]): UmountCall {
  const places: string[] = [];
  const flags: string[] = [];
  let isWaiting = true;
  const rest = given.values();
  for (const argument of rest) {
    if (argument === '-N' || argument === '-t') {
      const { value } = rest.next();
      if (value === undefined) throw new UsageError(`${argument} needs a value`);
      // The mount table here is not that of another namespace.
      if (argument === '-N') isWaiting = false;
      if (argument === '-N') flags.push(argument, value);
    } else if (/^-[flnrv]+$/.test(argument)) {
      flags.push(argument);
      // Detached, it may be used for long; forced, it is given up.
      if (/[fl]/.test(argument)) isWaiting = false;
    } else if (argument.startsWith('-')) {
      throw new UsageError(
        `there is no option ${argument}; umount(8) gives DIRECTORY [-flnrv] [-N NAMESPACE] [-t TYPE]`,
      );
    } else {
      places.push(argument);
    }
  }
  const [mountPoint, ...further] = places;
  if (mountPoint === undefined || further.length > 0)
    throw new UsageError('it takes one directory; call umount DIRECTORY');
  return { mountPoint, flags, isWaiting };
}

/** @returns the exit code as umount(8) has it */
export async function runUmountHelper(given: readonly string[]): Promise<number> {
  const tell = (sentence: string): void => void process.stderr.write(`${UMOUNT_HELPER}: ${sentence}\n`);
  try {
    const { mountPoint, flags, isWaiting } = umountCall(given);
    return isWaiting ? await unmountStored(mountPoint, flags, tell) : await unmount(mountPoint, flags);
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error));
    return error instanceof UsageError ? WRONG_USAGE : FAILED;
  }
}
