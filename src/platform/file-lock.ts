/** flock(2), which Node does not have, by libc's own function through koffi. */

/** <sys/file.h>: LOCK_EX | LOCK_NB. */
const EXCLUSIVE_WITHOUT_WAITING = 2 | 4;

interface Flock {
  /** 0, or -1 with the errno in `errno`. */
  readonly call: (descriptor: number, operation: number) => number;
  readonly errno: () => number;
  readonly wouldBlock: number | undefined;
}

let loading: Promise<Flock | undefined> | undefined;

async function loadFlock(): Promise<Flock | undefined> {
  try {
    // Not loaded before somebody locks: it takes 30 ms.
    const { default: koffi } = await import('koffi');
    const call = koffi.load(null).func('int flock(int descriptor, int operation)') as Flock['call'];
    return { call, errno: () => koffi.errno(), wouldBlock: koffi.os.errno['EWOULDBLOCK'] };
  } catch {
    // A libc without it.
    return undefined;
  }
}

/**
 * Locks an open file for as long as it is open; a process that ends gives its locks up, however it ends. `held`: another
 * open file description has it. `unsupported`: there are no such locks here, as on some network file systems.
 */
export async function tryLockFile(descriptor: number): Promise<'locked' | 'held' | 'unsupported'> {
  loading ??= loadFlock();
  const flock = await loading;
  if (!flock) return 'unsupported';
  if (flock.call(descriptor, EXCLUSIVE_WITHOUT_WAITING) === 0) return 'locked';
  return flock.errno() === flock.wouldBlock ? 'held' : 'unsupported';
}
