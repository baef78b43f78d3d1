/** Where state goes when nothing else is said. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** `${DFS_HOME:-$HOME/.dfs}`, absolute. */
export function dfsHome(): string {
  const { DFS_HOME } = process.env;
  return DFS_HOME === undefined || DFS_HOME === '' ? join(homedir(), '.dfs') : resolve(DFS_HOME);
}

/** Where the configuration of a machine's own servers is, and the identity of its root. */
export const SYSTEM_HOME = '/etc/dfs';
/** DFS_HOME of a machine's own servers: the database, the key and their identity. It belongs to the user that they run as. */
export const SERVICE_HOME = '/var/lib/dfs';

/** Whether this user's state is in a directory of the user's own; else, for root without DFS_HOME, it is the machine's. */
export function hasOwnHome(): boolean {
  const { DFS_HOME = '' } = process.env;
  return DFS_HOME !== '' || process.getuid?.() !== 0;
}

/** The metadata database of `createdb` and `meta-data`. */
export function defaultDatabasePath(): string {
  return join(dfsHome(), 'metadata', 'dfs.db');
}

/** The cluster's key, or the role's that this user has, where no other file is named. */
export function defaultKeyPath(): string {
  return join(dfsHome(), 'key');
}

/** Where a key is looked for when no file is named. */
export function keyPaths(): readonly string[] {
  return hasOwnHome() ? [defaultKeyPath()] : [defaultKeyPath(), SERVICE_KEY];
}

/** The key of a cluster whose metadata server this machine runs (`dfs create`). */
export const SERVICE_KEY = join(SERVICE_HOME, 'key');

export function logDirectory(): string {
  return join(dfsHome(), 'log');
}
