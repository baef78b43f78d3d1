/** Where the local cluster is mounted, and what else is there. Nothing here touches a mount, which may hang. */
import { lstatSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { detachDeadMounts } from '../../fuse/mount-point.js';
import { findMount } from '../../fuse/mount-table.js';
import { makeDirectories } from '../../platform/make-directories.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import type { ServiceRecord } from '../services/service-record.js';
import { calls } from './words.js';

export const DEFAULT_MOUNT_POINT = '/mnt/dfs';

/** Whether DFS, or another FUSE file system, is mounted there. */
export async function isMounted(mountPoint: string): Promise<boolean> {
  return (await findMount(mountPoint))?.type.startsWith('fuse') === true;
}

/** The path as the kernel's table has it. */
export async function canonicalPath(path: string): Promise<string> {
  const absolute = isAbsolute(path) ? path : `${process.cwd()}/${path}`;
  const name = basename(absolute);
  if (name === '.' || name === '..') return await realpathOfMissing(absolute);
  const canonical = join(await realpathOfMissing(dirname(absolute)), name);
  return !(await findMount(canonical)) && isLink(canonical) ? await realpathOfMissing(canonical) : canonical;
}

/** As realpath(3), for a path of which the last parts need not exist. */
async function realpathOfMissing(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTDIR') || dirname(path) === path) throw toDfsError(error);
    return join(await realpathOfMissing(dirname(path)), basename(path));
  }
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  } catch (error) {
    throw toDfsError(error);
  }
}

/** The mount point that is meant: the one asked for, else where this cluster was mounted last, else the default. */
export async function chooseMountPoint(
  wanted: string | undefined,
  record: ServiceRecord | undefined,
): Promise<string> {
  return wanted === undefined ? (record?.directory ?? DEFAULT_MOUNT_POINT) : await canonicalPath(wanted);
}

/**
 * Leaves an empty place for a mount, or says why that cannot be; for when ours does not run. EBUSY when something else is
 * mounted there; what the system says when the directory cannot be made.
 * @param before where it was mounted last
 */
export async function clearMountPoint(mountPoint: string, before: string | undefined): Promise<void> {
  if (before !== undefined && before !== mountPoint) await takeDeadMountsAway(before);
  await takeDeadMountsAway(mountPoint);
  const mounted = await findMount(mountPoint);
  if (mounted)
    throw new DfsError(
      'EBUSY',
      `${mountPoint} is already the mount point of ${mounted.source} (${mounted.type}); unmount it, or give another mount point`,
    );
  try {
    await makeDirectories(mountPoint);
  } catch (error) {
    const { code, message } = toDfsError(error);
    const hint = `give one of your own, such as ${calls().upAt('~/dfs')}`;
    throw new DfsError(code, `${message}; ${hint}`, { cause: error });
  }
}

/** Takes away what killed mount daemons left there, and says so. */
export async function takeDeadMountsAway(mountPoint: string): Promise<void> {
  await detachDeadMounts(mountPoint, () =>
    process.stdout.write(`Detaching ${mountPoint}, whose mount daemon is gone\n`),
  );
}
