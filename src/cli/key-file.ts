/** A key is kept in a file that only its owner can read. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { makeDirectories } from '../platform/make-directories.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { Keyring } from '../rpc/keyring.js';
import { SERVICE_HOME, SERVICE_KEY } from './dfs-home.js';

const MIN_KEY_BYTES = 16;
const MAX_KEY_BYTES = 4096;
const NEW_KEY_BYTES = 32;
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
/** Read, write and execute for group and others. */
const OTHERS_BITS = 0o077;

/**
 * The secrets in `path`: of a role, where the file's text says so, else all that follow from the cluster's key, which is
 * the file's bytes without white space at either end. ENOENT, EACCES when others could read it or its owner is neither
 * root nor this user, EINVAL when it is too short to be a secret.
 */
export function readKeyFile(path: string): Keyring {
  const text = readSecretFile(path);
  const ofRole = Keyring.ofRole(text, path);
  if (ofRole) return ofRole;
  // One byte a character, so that a key of raw bytes stays what it is.
  const key = Buffer.from(text, 'latin1');
  if (key.length < MIN_KEY_BYTES) {
    throw new DfsError(
      'EINVAL',
      `the key in ${path} is shorter than ${MIN_KEY_BYTES} bytes; make one with: (umask 077; head -c 32 /dev/urandom | base64 > ${path})`,
    );
  }
  return Keyring.ofCluster(key, path);
}

/**
 * Makes a file with a new cluster key, complete and on stable storage or not there, and its directory too if need be.
 * A file that is there by then is left as it is.
 */
export async function createKeyFile(path: string): Promise<void> {
  const temporary = `${path}.new-${randomBytes(8).toString('hex')}`;
  await makeDirectories(dirname(path), DIRECTORY_MODE);
  try {
    const descriptor = openSync(temporary, 'wx', FILE_MODE);
    try {
      writeSync(descriptor, `${randomBytes(NEW_KEY_BYTES).toString('base64')}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    linkSync(temporary, path);
    const directory = openSync(dirname(path), 'r');
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw toDfsError(error).within(`cannot make the key file ${path}`);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function readSecretFile(path: string): string {
  const descriptor = openKeyFile(path);
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new DfsError('EINVAL', `${path} is not a file; give a file that holds the key`);
    if ((stat.mode & OTHERS_BITS) !== 0) {
      throw new DfsError('EACCES', `others could read the key in ${path}; run: chmod 600 ${path}`);
    }
    const own = process.getuid?.() ?? 0;
    if (stat.uid !== 0 && stat.uid !== own && stat.uid !== ownerOfService(path)) {
      throw new DfsError(
        'EACCES',
        `user ${stat.uid} could change the key in ${path}; run: chown ${own} ${path}`,
      );
    }
    if (stat.size > MAX_KEY_BYTES) throw new DfsError('EINVAL', `${path} is too large to be a key`);
    return readFileSync(descriptor, 'latin1').trim();
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The user that this machine's metadata server runs as, whose key root uses (`dfs create`); that user serves whatever root would ask
 * with it. Undefined for every other file.
 */
function ownerOfService(path: string): number | undefined {
  return path === SERVICE_KEY ? lstatSync(SERVICE_HOME, { throwIfNoEntry: false })?.uid : undefined;
}

function openKeyFile(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw new DfsError('ENOENT', `there is no key file ${path}`);
    throw toDfsError(error).within(`cannot read the key file ${path}`);
  }
}
