/**
 * umount2(2) by libc's own function: umount(8) first asks the file system for its type, which never ends while the daemon
 * that should answer waits for another process.
 */
import type { KoffiFunc } from 'koffi';
import { loadKoffi } from './foreign-functions.js';

type Umount2 = KoffiFunc<(target: string, flags: number) => number>;

const UMOUNT_NOFOLLOW = 8;
let bound: Umount2 | undefined;

/** Unmounts what nobody uses, for root on Linux; on a thread of its own, since the last pages may have to be written. */
export async function umount2(mountPoint: string): Promise<void> {
  // Bound when it is needed: other systems do not have it.
  const call = (bound ??= loadKoffi()
    .load(null)
    .func('int umount2(const char *target, int flags)') as Umount2);
  await new Promise<void>((resolve, reject) => {
    call.async(mountPoint, UMOUNT_NOFOLLOW, (error: Error | null, result: number) => {
      if (error) reject(error);
      else if (result === 0) resolve();
      else reject(new Error(`cannot unmount ${mountPoint}: it is in use, or is no mount any more`));
    });
  });
}
