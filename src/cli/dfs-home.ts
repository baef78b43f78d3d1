/** Where state goes when nothing else is said. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** `${DFS_HOME:-$HOME/.dfs}`, absolute. */
export function dfsHome(): string {
  const { DFS_HOME } = process.env;
  return DFS_HOME === undefined || DFS_HOME === '' ? join(homedir(), '.dfs') : resolve(DFS_HOME);
}

/** The metadata database of `createdb` and `meta-data`. */
export function defaultDatabasePath(): string {
  return join(dfsHome(), 'metadata', 'dfs.db');
}

/** The cluster's key, or the role's that this machine has, where no other file is named. */
export function defaultKeyPath(): string {
  return join(dfsHome(), 'key');
}

export function logDirectory(): string {
  return join(dfsHome(), 'log');
}
