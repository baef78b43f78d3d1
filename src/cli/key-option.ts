/** Which key a process proves its membership with: one rule for all commands. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { DfsError, hasCode } from '../protocol/errors.js';
import type { Role } from '../protocol/roles.js';
import type { Keyring } from '../rpc/keyring.js';
import { defaultKeyPath, keyPaths } from './dfs-home.js';
import { createKeyFile, readKeyFile } from './key-file.js';

/** The option by which every command is given its key; the environment variable spares typing it. */
export const KEY_FILE_OPTION = {
  type: 'string',
  requiresArg: true,
  describe: "file with the cluster's key, or with that of a role [default: $DFS_KEY_FILE, or $DFS_HOME/key]",
} as const;

interface KeyPlace {
  readonly path: string;
  /** Somebody named the file, so that it should be there. */
  readonly isNamed: boolean;
}

/** `--key-file`, else DFS_KEY_FILE, else `$DFS_HOME/key`, else for root the one of this machine's own metadata server. */
function keyPlace(keyFile: string | undefined): KeyPlace {
  const named = keyFile ?? process.env['DFS_KEY_FILE'] ?? '';
  if (named !== '') return { path: resolve(named), isNamed: true };
  return { path: keyPaths().find(isThere) ?? defaultKeyPath(), isNamed: false };
}

/** One that cannot be looked at is there: reading it tells why. */
function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    return !hasCode(error, 'ENOTDIR');
  }
}

function readKey({ path, isNamed }: KeyPlace): Keyring {
  if (isNamed || isThere(path)) return readKeyFile(path);
  throw new DfsError(
    'ENOENT',
    `there is no key: neither --key-file nor DFS_KEY_FILE names one, and there is no ${path}; ask for one where the cluster was made (createdb made its key; dfs key client makes one for a client), or join the cluster (dfs join)`,
  );
}

/**
 * The keyring that this process is to use, which lets it work as `wanted`. ENOENT when there is none, EACCES when it is
 * that of another role; else as readKeyFile().
 */
export function keyringFor(
  wanted: Role,
  keyFile: string | undefined,
): { readonly keys: Keyring; readonly role: Role } {
  const keys = readKey(keyPlace(keyFile));
  return { keys, role: keys.roleAs(wanted) };
}

/** The keyring with the cluster's key itself. ENOENT, EACCES; else as readKeyFile(). */
export function clusterKeyring(keyFile: string | undefined): Keyring {
  return readKey(keyPlace(keyFile));
}

/** The same; the file is made if there is none. `isNew` tells that it was. */
export async function makeClusterKeyring(
  keyFile: string | undefined,
): Promise<{ readonly keys: Keyring; readonly isNew: boolean }> {
  const { path } = keyPlace(keyFile);
  const isNew = !isThere(path);
  if (isNew) await createKeyFile(path);
  return { keys: readKeyFile(path), isNew };
}

/** The file that the rule finds, absolute, for a process that is about to leave its directory; undefined for none. */
export function locateKeyFile(keyFile: string | undefined): string | undefined {
  return hasKey(keyFile) ? keyPlace(keyFile).path : undefined;
}

/** Whether the rule finds a file, or somebody named one, which then should be there. */
export function hasKey(keyFile: string | undefined): boolean {
  const { path, isNamed } = keyPlace(keyFile);
  return isNamed || isThere(path);
}
