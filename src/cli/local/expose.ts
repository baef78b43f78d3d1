/** `dfs expose`: other machines may join the cluster of `dfs local` from then on, or no more. */
import { DfsError } from '../../protocol/errors.js';
import type { ServiceDefinition } from '../services/service-definition.js';
import { runningRecord } from '../services/service-record.js';
import { startServices, stopServices } from '../services/services.js';
import { makeHome, requireHome, withHomeLock } from './home.js';
import { logFileOf, METADATA, metadataService, nodeNames, nodeService } from './layout.js';
import {
  countNodes,
  exposedAddress,
  heldNodePort,
  heldSettings,
  holdAddress,
  localPaths,
  readWishes,
  settle,
  type LocalPaths,
} from './settings.js';
import { serviceEnvironment, warn } from './words.js';

const STOP_MS = 30_000;

/** The local cluster, as far as others are concerned. */
export interface Exposure {
  /** The metadata server's port. */
  readonly port: number;
  /** Whether it runs, so that others can join. */
  readonly isRunning: boolean;
}

/**
 * Has the servers listen for other machines, which reach them by `address`; undefined: for this machine alone. Those that run are started
 * again, one after the other, while mounts wait. ENOENT when there is no such cluster, EIO when a server does not start again.
 */
export async function expose(address: string | undefined): Promise<Exposure> {
  const paths = localPaths();
  const wishes = readWishes();
  await requireHome(paths, 'change');
  const { port } = settle(wishes, heldSettings(paths));
  await makeHome(paths);
  return await withHomeLock(paths, async () => {
    const names = nodeNames(countNodes(paths, wishes));
    const isRunning = runningRecord(paths.run, METADATA) !== undefined;
    if (exposedAddress(paths) === address) return { port, isRunning };
    holdAddress(paths, address);
    await restart(paths, metadataService(paths, port));
    for (const name of names)
      await restart(
        paths,
        nodeService(paths, name, { port: heldNodePort(paths, name) ?? 0, metadataPort: port }),
      );
    return { port, isRunning };
  });
}

/** One that does not run is left so. */
async function restart(paths: LocalPaths, definition: ServiceDefinition): Promise<void> {
  const { name } = definition;
  if (!runningRecord(paths.run, name)) return;
  await stopServices([name], paths.run, { stopMs: STOP_MS, warn });
  const options = { env: serviceEnvironment(paths.home, paths.key) };
  for (const { state } of await startServices([definition], paths.run, options))
    if (state === 'ended' || state === 'slow')
      throw new DfsError('EIO', `${name} did not start again; its log is ${logFileOf(paths, name)}`);
}
