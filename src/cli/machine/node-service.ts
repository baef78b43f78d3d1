/** Data nodes as servers of this machine. */
import { formatEndpoint } from '../address.js';
import type { Endpoint } from '../../platform/network.js';
import { configuredServices, readConfig, removeConfig, writeConfig } from './config-files.js';
import { prepareDataDirectory } from './data-directory.js';
import type { MachineLayout } from './machine-layout.js';
import type { MachineServices } from './service-control.js';
import type { Account } from './service-account.js';
import { isNodeService, nodeServiceName, type ServiceName } from './service-name.js';

export const DEFAULT_NODE_PORT = 9000;

export interface NodeServicePlan {
  readonly layout: MachineLayout;
  readonly services: MachineServices;
  readonly account: Account | undefined;
  readonly metadata: Endpoint;
  /** As typed. */
  readonly directory: string;
  /** Default: the first from 9000 on that no other data node of this machine has. */
  readonly port: number | undefined;
}

export interface NodeService {
  readonly name: ServiceName;
  readonly directory: string;
  readonly port: number;
}

/** Sets up a data node and starts it, now and with the machine. One that is set up for this directory is started again. */
export async function startNodeService(plan: NodeServicePlan): Promise<NodeService> {
  const { layout, services, account, metadata } = plan;
  const directory = await prepareDataDirectory(plan.directory, account);
  const others = await nodeServices(layout);
  const known = others.find(each => each.directory === directory);
  const name = known?.name ?? nodeServiceName(directory, new Set(others.map(each => each.name)));
  const port = plan.port ?? known?.port ?? freePort(others);
  await writeConfig(layout, name, 'A data node of DFS: man dfs-data-node tells what else may stand here.', {
    server: formatEndpoint(metadata),
    port,
    datapath: directory,
  });
  try {
    await services.enable(name, { directories: [directory] });
  } catch (error) {
    if (!known) {
      await services.disable(name).catch(() => undefined);
      await removeConfig(layout, name);
    }
    throw error;
  }
  return { name, directory, port };
}

/** The data nodes of this machine. */
export async function nodeServices(layout: MachineLayout): Promise<NodeService[]> {
  const names = (await configuredServices(layout)).filter(isNodeService);
  return await Promise.all(
    names.map(async name => {
      const { datapath = '', port = 0 } = await readConfig(layout, name);
      return { name, directory: String(datapath), port: Number(port) };
    }),
  );
}

function freePort(others: readonly NodeService[]): number {
  let port = DEFAULT_NODE_PORT;
  while (others.some(each => each.port === port)) port += 1;
  return port;
}
