/** Takes away what caches hold of a subject. */
import { dropCaches } from '../../src/cli/bench/caches.js';
import { shell } from '../support/programs.js';
import { waitUntil } from '../support/wait-until.js';
import type { Subject } from './subject.js';

const REMOUNT_MS = 30_000;

/** Drops the kernel's caches, and mounts anew what is mounted. */
export async function makeCold({ remount }: Pick<Subject, 'remount'>): Promise<void> {
  await dropCaches();
  if (remount === '') return;
  let failure: unknown;
  // The kernel may not have let go of the last file.
  const tryIt = async (): Promise<boolean> => {
    try {
      await shell(remount);
      return true;
    } catch (error) {
      failure = error;
      return false;
    }
  };
  await waitUntil(tryIt, { deadlineMs: REMOUNT_MS, what: 'it is mounted anew' }).catch((error: unknown) => {
    throw new Error(String(failure ?? error), { cause: error });
  });
}
