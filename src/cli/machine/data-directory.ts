/** The directory of a data node, before its server is set up. */
import { chown, readdir, stat } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
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
  const directory = isAbsolute(path) ? path : resolve(path);
  try {
    await makeDirectories(directory, OWNER_ALONE);
    if (!account) return directory;
    const { uid } = await stat(directory);
    if (uid === account.uid) return directory;
    if ((await readdir(directory)).some(name => name !== 'lost+found')) {
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
    return (await readdir(path)).every(name => name === 'lost+found');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return true;
    throw toDfsError(error).within(`cannot look into ${path}`);
  }
}
