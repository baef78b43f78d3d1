/** A new cluster on this machine: its key, its database, its metadata server and its first data nodes. */
import { chown, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeDirectories } from '../../platform/make-directories.js';
import type { Endpoint } from '../../platform/network.js';
import { DfsError } from '../../protocol/errors.js';
import { everywhereFor, LOOPBACK } from '../address.js';
import { createClusterDatabase } from '../create-cluster-database.js';
import { configuredServices, removeConfig, writeConfig } from './config-files.js';
import { clearDataDirectory, isEmptyDirectory } from './data-directory.js';
import { configPath, type MachineLayout } from './machine-layout.js';
import type { MachineServices } from './service-control.js';
import { startNodeService, type NodeService } from './node-service.js';
import { recordServer } from './server-record.js';
import { METADATA } from './service-name.js';
import { prepareState, type Account } from './service-account.js';

const OWNER_ALONE = 0o700;
/** Of the files that a metadata server makes beside its database, and of the database itself. */
const DATABASE_ENDINGS = [
  '',
  '-wal',
  '-shm',
  '-journal',
  '-reserve',
  '.lock',
  '.lock-journal',
  '.lock.holder',
];

export interface NewClusterPlan {
  readonly layout: MachineLayout;
  readonly services: MachineServices;
  readonly account: Account | undefined;
  /** By which other machines reach this one. */
  readonly address: string;
  /** Listen there alone, rather than on all addresses. */
  readonly isOnlyThere: boolean;
  readonly port: number;
  readonly nodePort: number | undefined;
  /** As typed; each gets a data node. */
  readonly directories: readonly string[];
}

export interface NewCluster {
  /** By which other machines, and this one's data nodes, reach the metadata server. */
  readonly server: Endpoint;
  /** By which commands on this machine do. */
  readonly local: Endpoint;
  readonly nodes: readonly NodeService[];
}

/**
 * Makes the cluster and starts its servers. EEXIST when this machine has servers already, or a directory is in use; on a failure
 * everything that was made is removed again.
 */
export async function createCluster(plan: NewClusterPlan): Promise<NewCluster> {
  const { layout, services, account, address, isOnlyThere, port, directories } = plan;
  await refuseSecond(layout);
  for (const directory of directories) {
    if (await isEmptyDirectory(directory)) continue;
    throw new DfsError(
      'EEXIST',
      `${directory} is not empty; give an empty directory, or one that is not there yet`,
    );
  }
  const server = { host: address, port };
  const local = isOnlyThere ? server : { host: LOOPBACK, port };
  const undo: (() => Promise<unknown>)[] = [];
  try {
    await makeState(layout, account, undo);
    undo.push(async () => await removeConfig(layout, METADATA));
    await writeConfig(
      layout,
      METADATA,
      'The metadata server of DFS: man dfs-meta-data tells what else may stand here.',
      {
        host: isOnlyThere ? address : everywhereFor(address),
        port,
      },
    );
    undo.push(async () => await services.disable(METADATA));
    await services.enable(METADATA, { directories: [] });
    const nodes: NodeService[] = [];
    for (const [place, directory] of directories.entries()) {
      const nodePort = plan.nodePort === undefined ? undefined : plan.nodePort + place;
      undo.push(async () => await clearDataDirectory(directory));
      const node = await startNodeService({
        layout,
        services,
        account,
        metadata: server,
        directory,
        port: nodePort,
      });
      undo.push(async () => {
        await services.disable(node.name);
        await removeConfig(layout, node.name);
      });
      nodes.push(node);
    }
    await recordServer(layout, local);
    return { server, local, nodes };
  } catch (error) {
    for (const step of undo.toReversed()) await step().catch(() => undefined);
    throw error;
  }
}

async function refuseSecond(layout: MachineLayout): Promise<void> {
  const [first] = await configuredServices(layout);
  if (first === undefined) return;
  throw new DfsError(
    'EEXIST',
    `this machine has servers of a cluster already (${configPath(layout, first)}); for a second cluster set DFS_HOME to a directory of its own`,
  );
}

/** The key and the database, as the account's own. */
async function makeState(
  layout: MachineLayout,
  account: Account | undefined,
  undo: (() => Promise<unknown>)[],
): Promise<void> {
  const database = join(layout.state, 'metadata', 'dfs.db');
  const key = join(layout.state, 'key');
  if (account) await prepareState(layout, account);
  else await makeDirectories(layout.state, OWNER_ALONE);
  const { isNewKey } = await createClusterDatabase(database, key);
  undo.push(async () => await removeDatabase(database));
  if (isNewKey) undo.push(async () => await rm(key, { force: true }));
  if (!account) return;
  for (const path of [key, dirname(database), database]) await chown(path, account.uid, account.gid);
}

/** Removes the database, and its directory if nothing else is in it: an earlier database may be kept there under another name. */
async function removeDatabase(database: string): Promise<void> {
  for (const ending of DATABASE_ENDINGS) await rm(`${database}${ending}`, { force: true });
  await rmdir(dirname(database));
}
