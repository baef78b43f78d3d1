/** The directory of a data node, before its server is set up. */
import { chown, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { makeDirectories } from '../../platform/make-directories.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import type { Account } from './service-account.js';

const OWNER_ALONE = 0o700;

/**
 * Makes the directory, if need be, and hands an empty one over to the account that the server runs as.
 * @param account undefined: it is to be this user's
 * @returns its absolute path. EACCES when others own what is in it, ENOTDIR and the like.
 */
export async function prepareDataDirectory(path: string, account: Account | undefined): Promise<string> {
  const directory = resolve(path);
  try {
    await makeDirectories(directory, OWNER_ALONE);
    if (!account) return directory;
    const { uid } = await stat(directory);
    if (uid === account.uid) return directory;
    if ((await namesIn(directory)).length > 0) {
      throw new DfsError(
        'EACCES',
        `${directory} is not empty and belongs to user ${uid}, and the data node runs as user ${account.uid}; run: chown -R ${account.uid}:${account.gid} ${directory}`,
      );
    }
    await chown(directory, account.uid, account.gid);
    return directory;
  } catch (error) {
    if (error instanceof DfsError) throw error;
    throw toDfsError(error).within(`cannot use ${directory} for data`);
  }
}

/** Whether there is nothing in it, or it is not there. */
export async function isEmptyDirectory(path: string): Promise<boolean> {
  try {
    return (await namesIn(path)).length === 0;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return true;
    throw toDfsError(error).within(`cannot look into ${path}`);
  }
}

/** Takes away what a data node that did not start has put into a directory that was empty, and the directory if it can go. */
export async function clearDataDirectory(path: string): Promise<void> {
  for (const name of await namesIn(path)) await rm(join(path, name), { recursive: true, force: true });
  await rmdir(path);
}

/** Without what mkfs(8) puts into the root of a new file system. */
async function namesIn(path: string): Promise<string[]> {
  return (await readdir(path)).filter(name => name !== 'lost+found');
}
