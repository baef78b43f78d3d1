/** What `dfs local` does with the servers that `dfs create` and `dfs join` set up; loaded by that command alone. */
import { existsSync } from 'node:fs';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { localPaths } from '../local/settings.js';
import { configuredServices } from './config-files.js';
import { machineLayout, type MachineLayout } from './machine-layout.js';
import { machineServices } from './machine-services.js';

export { startConfigured, stopConfigured, tellConfigured } from './local-services.js';

/**
 * The layout of this machine's servers, or this user's, where there are any; undefined where `dfs local` has a cluster of its own, or none.
 * EBUSY when systemd runs them.
 */
export async function ownLayout(): Promise<MachineLayout | undefined> {
  const layout = machineLayout();
  if (!(await hasServers(layout))) return undefined;
  // A first look, which a user of the same home has had before.
  if (layout.user !== undefined && existsSync(localPaths().database)) return undefined;
  if (machineServices(layout).kind === 'systemd') {
    throw new DfsError(
      'EBUSY',
      "systemd runs this machine's servers: systemctl status dfs-metadata dfs-node; for a cluster to try things with, set DFS_HOME to another directory",
    );
  }
  return layout;
}

async function hasServers(layout: MachineLayout): Promise<boolean> {
  try {
    return (await configuredServices(layout)).length > 0;
  } catch (error) {
    // Another user's home, which is closed: `dfs local` says whose it is.
    if (hasCode(error, 'EACCES')) return false;
    throw error;
  }
}
