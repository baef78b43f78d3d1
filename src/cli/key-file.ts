/** The cluster's shared key, kept in a file that only its owner can read. */
import { readFileSync, statSync } from 'node:fs';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';

const MIN_KEY_BYTES = 16;
const MAX_KEY_BYTES = 4096;
/** Read, write and execute for group and others. */
const OTHERS_BITS = 0o077;

/**
 * The key in `path`: the file's bytes without white space at either end. ENOENT, EACCES when others could read it,
 * EINVAL when it is too short to be a secret.
 */
export function readKeyFile(path: string): Buffer {
  const { mode, size, isFile } = statOf(path);
  if (!isFile) throw new DfsError('EINVAL', `${path} is not a file; give a file that holds the key`);
  if ((mode & OTHERS_BITS) !== 0) {
    throw new DfsError('EACCES', `others could read the key in ${path}; run: chmod 600 ${path}`);
  }
  if (size > MAX_KEY_BYTES) throw new DfsError('EINVAL', `${path} is too large to be a key`);
  // One byte a character, so that a key of raw bytes stays what it is.
  const key = Buffer.from(readFileSync(path, 'latin1').trim(), 'latin1');
  if (key.length < MIN_KEY_BYTES) {
    throw new DfsError(
      'EINVAL',
      `the key in ${path} is shorter than ${MIN_KEY_BYTES} bytes; make one with: (umask 077; head -c 32 /dev/urandom | base64 > ${path})`,
    );
  }
  return key;
}

function statOf(path: string): { mode: number; size: number; isFile: boolean } {
  try {
    const stat = statSync(path);
    return { mode: stat.mode, size: stat.size, isFile: stat.isFile() };
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw new DfsError('ENOENT', `there is no key file ${path}`);
    throw toDfsError(error).within(`cannot read the key file ${path}`);
  }
}
