/** Cold caches: the kernel's, and so those of every server on this machine. */
import { writeFile } from 'node:fs/promises';
import { DfsError, toDfsError } from '../../protocol/errors.js';

const DROP_CACHES = '/proc/sys/vm/drop_caches';
const PAGES_AND_NAMES = '3';

/** Whether this process may, as only root may. */
export function canDropCaches(): boolean {
  return process.getuid?.() === 0;
}

/** EACCES where a container does not let even root. What is not stored yet stays, so sync(1) goes before. */
export async function dropCaches(): Promise<void> {
  try {
    await writeFile(DROP_CACHES, PAGES_AND_NAMES);
  } catch (error) {
    throw new DfsError('EACCES', `the kernel's caches cannot be dropped: ${toDfsError(error).message}`);
  }
}
