/**
 * Where the identities of a machine are: for each role a file with its certificate, the private key and the public key of the
 * cluster's authority (PEM), which `dfs join` writes.
 */
import { createPublicKey, randomBytes } from 'node:crypto';
import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { constants, existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { exportPrivateKey, identityOf, importPrivateKey, type Identity } from '../identity/identity.js';
import { MEMBER_ROLES, type MemberRole } from '../identity/member.js';
import { makeDirectories } from '../platform/make-directories.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { dfsHome, hasOwnHome, SERVICE_HOME, SYSTEM_HOME } from './dfs-home.js';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const OTHERS_BITS = 0o077;
/** Not one that a symbolic link leads to. */
const DIRECTORY_ITSELF = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const PEM = /-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----/g;

/** An identity, and the file in which it is. */
export interface StoredIdentity {
  readonly path: string;
  readonly identity: Identity;
}

/**
 * The file for a role that this process joins in: in DFS_HOME, or for root without one in the machine's directory, or in that of its
 * services if it is installed and they are to have it.
 */
export function identityPath(role: MemberRole): string {
  if (hasOwnHome()) return pathIn(dfsHome(), role);
  const isOfService = (role === 'node' || role === 'metadata') && existsSync(SERVICE_HOME);
  return pathIn(isOfService ? SERVICE_HOME : SYSTEM_HOME, role);
}

function pathIn(home: string, role: MemberRole): string {
  return join(home, 'identity', `${role}.pem`);
}

/** The first identity that is there, of these roles. EACCES when others could read it, EINVAL when it is damaged. */
export function findIdentity(roles: readonly MemberRole[]): StoredIdentity | undefined {
  for (const role of roles) {
    for (const home of new Set([dfsHome(), SYSTEM_HOME, SERVICE_HOME])) {
      const path = pathIn(home, role);
      const identity = readIdentity(path);
      if (identity) return { path, identity };
    }
  }
  return undefined;
}

/** Whether this machine, or user, is a member in that role where identityPath() has it. */
export function hasIdentity(role: MemberRole): boolean {
  return readIdentity(identityPath(role)) !== undefined;
}

/** One for each role that there is any of. */
export function storedIdentities(): StoredIdentity[] {
  return MEMBER_ROLES.flatMap(role => findIdentity([role]) ?? []);
}

/**
 * Writes an identity, on stable storage; a file that was there before is replaced as a whole. Written by root, it belongs to the owner of
 * the home that it is in.
 */
export async function saveIdentity(
  path: string,
  { certificate, privateKey, authority }: Identity,
): Promise<void> {
  const next = `${path}.new-${randomBytes(8).toString('hex')}`;
  const text = [
    exportPrivateKey(privateKey),
    certificate,
    authority.export({ format: 'pem', type: 'spki' }),
  ].join('');
  try {
    await makeDirectories(dirname(path), DIRECTORY_MODE);
    // By descriptor: the owner of the home could put something else at the path meanwhile.
    const directory = await open(dirname(path), DIRECTORY_ITSELF);
    try {
      await giveToOwnerOfHome(directory, path);
      const file = await open(next, 'wx', FILE_MODE);
      try {
        await giveToOwnerOfHome(file, path);
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(next, path);
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (error) {
    throw toDfsError(error).within(`cannot write the identity ${path}`);
  } finally {
    await rm(next, { force: true });
  }
}

/** What root writes below another user's home is that user's. */
async function giveToOwnerOfHome(file: FileHandle, path: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(dirname(dirname(path)));
  if (uid !== 0) await file.chown(uid, gid);
}

/** Undefined when there is none, or none for this user. */
function readIdentity(path: string): Identity | undefined {
  let text: string;
  try {
    if ((statSync(path).mode & OTHERS_BITS) !== 0)
      throw new DfsError('EACCES', `others could read the key in ${path}; run: chmod 600 ${path}`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof DfsError) throw error;
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return undefined;
    throw toDfsError(error).within(`cannot read the identity ${path}`);
  }
  const parts = new Map([...text.matchAll(PEM)].map(([pem, label]) => [label, pem]));
  const [key, certificate, authority] = ['PRIVATE KEY', 'CERTIFICATE', 'PUBLIC KEY'].map(label =>
    parts.get(label),
  );
  try {
    if (key === undefined || certificate === undefined || authority === undefined)
      throw new DfsError('EINVAL', 'a part of it is missing');
    return identityOf(`${certificate}\n`, importPrivateKey(key), createPublicKey(authority));
  } catch (error) {
    const reason = error instanceof DfsError ? error.message : 'it holds no keys';
    throw new DfsError(
      'EINVAL',
      `the identity in ${path} is damaged (${reason}); join the cluster again: dfs join`,
    );
  }
}
