/** Takes a mount away, whatever state it is in. */
import { findMount } from '../../src/fuse/mount-table.js';
import { shell } from '../support/programs.js';
import { quoted } from './subject.js';

const UNMOUNT_MS = 60_000;
const DETACH_MS = 10_000;

/** Unmounts, and cuts the mount off if it cannot be unmounted in order. May be called where nothing is mounted. */
export async function unmount(mountPoint: string): Promise<void> {
  if (!(await findMount(mountPoint))) return;
  try {
    await shell(`umount ${quoted(mountPoint)}`, { timeoutMs: UNMOUNT_MS });
  } catch {
    await shell(`umount -f -l ${quoted(mountPoint)}`, { timeoutMs: DETACH_MS });
  }
}
