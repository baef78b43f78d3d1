/** Which metadata server a command asks: one rule for all of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Endpoint } from '../platform/network.js';
import { hasCode, toDfsError } from '../protocol/errors.js';
import { DEFAULT_METADATA_PORT, LOOPBACK, parsePort, parseServer } from './address.js';
import { dfsHome } from './dfs-home.js';
import { recordedServer } from './machine/server-record.js';
import { UsageError } from './usage-error.js';

/** What --help says of the argument. */
export const SERVER_DESCRIPTION =
  "the metadata server, HOST[:PORT], with port 8000 unless given [default: $DFS_SERVER, else this machine's own cluster]";

/** The positional argument of commands that take a server. */
export const SERVER_POSITIONAL = { type: 'string', describe: SERVER_DESCRIPTION } as const;

/**
 * The server that is named by the argument, else by DFS_SERVER, else that of this machine's cluster: the one that
 * `dfs local` runs with the same DFS_HOME and DFS_PORT, or the one that `dfs create` or `dfs join` recorded. UsageError.
 */
export function chooseServer(argument: string | undefined): Endpoint {
  if (argument !== undefined) return parseServer(argument);
  const { DFS_SERVER = '', DFS_PORT = '' } = process.env;
  if (DFS_SERVER !== '') return standingIn('DFS_SERVER', () => parseServer(DFS_SERVER));
  // As local/settings.ts settles it.
  const port = DFS_PORT === '' ? recordedPort() : standingIn('DFS_PORT', () => parsePort(DFS_PORT));
  if (port !== undefined) return { host: LOOPBACK, port };
  return recordedServer() ?? { host: LOOPBACK, port: DEFAULT_METADATA_PORT };
}

/** The port of the cluster that `dfs local` has started; it notes the port first, and removes the note when it stops the cluster. */
function recordedPort(): number | undefined {
  const path = join(dfsHome(), 'run', 'settings');
  let settings: string;
  try {
    settings = readFileSync(path, 'utf8');
  } catch (error) {
    // Nothing runs, or it is another user's, whose home is closed.
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return undefined;
    throw toDfsError(error).within(`cannot read ${path}`);
  }
  const [port = ''] = settings.split(' ');
  return standingIn(path, () => parsePort(port));
}

/** What is wrong with a value is said of where it stands. */
function standingIn<Value>(name: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${name}: ${error.message}`);
    throw error;
  }
}
