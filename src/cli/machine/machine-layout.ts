/**
 * Where the servers of a machine have their files: those that `dfs create` and `dfs join` set up.
 *
 * For root they are the machine's own, as the package has them: configuration in /etc/dfs, state in /var/lib/dfs, which belongs to the user
 * that the servers run as. With DFS_HOME, and for other users, everything is in that directory and runs as the user who calls.
 */
import { join } from 'node:path';
import { dfsHome, hasOwnHome, SERVICE_HOME, SYSTEM_HOME } from '../dfs-home.js';

/** The user and group that the servers of a machine run as. */
const SERVICE_USER = 'dfs';
const OWNER_ALONE = 0o700;
const READABLE = 0o755;

export interface MachineLayout {
  /** The directory of `metadata.toml`, `node.toml`, …, and its mode. */
  readonly configuration: string;
  readonly configurationMode: number;
  /** DFS_HOME of the servers: their key, database and identity. */
  readonly state: string;
  /** Undefined: the user who runs this. */
  readonly user: string | undefined;
}

/** The layout for the user who runs this. */
export function machineLayout(): MachineLayout {
  if (!hasOwnHome()) {
    return {
      configuration: SYSTEM_HOME,
      configurationMode: READABLE,
      state: SERVICE_HOME,
      user: SERVICE_USER,
    };
  }
  return { configuration: dfsHome(), configurationMode: OWNER_ALONE, state: dfsHome(), user: undefined };
}

/** The configuration file of a server: `metadata`, `node`, `node-disk2`. */
export function configPath({ configuration }: MachineLayout, name: string): string {
  return join(configuration, `${name}.toml`);
}
