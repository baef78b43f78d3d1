/** Files of this machine by their descriptors, so that nobody who may change a directory can lead us elsewhere meanwhile. */
import { constants } from 'node:fs';
import { lchown, lstat, lutimes, open, opendir, rmdir, unlink, type FileHandle } from 'node:fs/promises';
import type { Timespec } from '../../platform/clock.js';
import { hasCode } from '../../protocol/errors.js';
import type { Kept } from './tree.js';

const SLASH = Buffer.from('/');

/** @param isItself a symbolic link there is not followed: ELOOP or ENOTDIR */
export async function openDirectory(place: Buffer, isItself: boolean): Promise<FileHandle> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY;
  return await open(place, isItself ? flags | constants.O_NOFOLLOW : flags);
}

/** The path by which an open directory is reached, whatever has its name by now (proc_pid_fd(5)). */
export function pathOf({ fd }: FileHandle): Buffer {
  return Buffer.from(`/proc/self/fd/${fd}`);
}

export async function* namesIn(directory: FileHandle): AsyncGenerator<Buffer> {
  // The types of Node know only encodings of text; with this one names are bytes.
  const encoding = 'buffer' as BufferEncoding;
  const listing = (await opendir(pathOf(directory), { encoding })) as AsyncIterable<{ name: unknown }>;
  for await (const { name } of listing) yield Buffer.isBuffer(name) ? name : Buffer.from(String(name));
}

/** Removes what is at a path, and nothing that a symbolic link leads to; nothing there is no error. */
export async function removeAll(path: Buffer): Promise<void> {
  try {
    const stats = await lstat(path);
    if (!stats.isDirectory()) {
      await unlink(path);
      return;
    }
    const directory = await openDirectory(path, true);
    try {
      const names: Buffer[] = [];
      for await (const name of namesIn(directory)) names.push(name);
      for (const name of names) await removeAll(Buffer.concat([pathOf(directory), SLASH, name]));
    } finally {
      await directory.close();
    }
    await rmdir(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
}

export async function setLinkAttributes(path: Buffer, { owner, times }: Kept): Promise<void> {
  if (owner) await lchown(path, owner.uid, owner.gid);
  if (times) await lutimes(path, seconds(times.atime), seconds(times.mtime));
}

export async function setFileAttributes(
  file: FileHandle,
  { owner, permissions, times }: Kept,
): Promise<void> {
  // chown(2) takes setuid and setgid away, so it comes first.
  if (owner) await file.chown(owner.uid, owner.gid);
  await file.chmod(permissions);
  if (times) await file.utimes(seconds(times.atime), seconds(times.mtime));
}

/** As exactly as a double has them: to the microsecond or better until the year 2242. */
function seconds(time: Timespec): number {
  return time.sec + time.nsec / 1e9;
}
