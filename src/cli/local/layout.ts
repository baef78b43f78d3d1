/** The services of a local cluster: a metadata server, data nodes, and a mount. */
import { join } from 'node:path';
import { programPath } from '../program-path.js';
import type { ServiceDefinition } from '../services/service-definition.js';
import type { LogEntry } from '../services/service-log.js';
import { everywhereFor, LOOPBACK } from '../address.js';
import { exposedAddress, type LocalPaths } from './settings.js';

export const METADATA = 'metadata';
export const MOUNT = 'mount';

/** `node1` and so on. */
export function nodeNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `node${index + 1}`);
}

/** All services, in the order in which they start. */
export function serviceNames(nodes: number): string[] {
  return [METADATA, ...nodeNames(nodes), MOUNT];
}

export function logFileOf({ log }: LocalPaths, name: string): string {
  return join(log, `${name}.log`);
}

/** The metadata server or a data node has its data there. */
export function dataDirectory({ home }: LocalPaths, name: string): string {
  return join(home, name);
}

function serverAddress(port: number): string {
  return `${LOOPBACK}:${port}`;
}

/** Where servers listen that others reach by `address`. */
function listenHost(address: string | undefined): string {
  return address === undefined ? LOOPBACK : everywhereFor(address);
}

function isReady(entry: LogEntry): boolean {
  return entry['msg'] === 'ready';
}

export function metadataService(paths: LocalPaths, port: number): ServiceDefinition {
  return {
    name: METADATA,
    argv: [
      programPath('meta-data'),
      String(port),
      '--db',
      paths.database,
      '--host',
      listenHost(exposedAddress(paths)),
    ],
    logFile: logFileOf(paths, METADATA),
    directory: dataDirectory(paths, METADATA),
    readyAddress: entry => (isReady(entry) ? serverAddress(port) : undefined),
  };
}

/** @param port on which it listens; 0 takes a free one */
export function nodeService(
  paths: LocalPaths,
  name: string,
  { port, metadataPort }: { readonly port: number; readonly metadataPort: number },
): ServiceDefinition {
  const directory = dataDirectory(paths, name);
  const address = exposedAddress(paths);
  const exposure = address === undefined ? [] : ['--host', listenHost(address), '--advertise', address];
  return {
    name,
    argv: [programPath('data-node'), LOOPBACK, String(port), directory, String(metadataPort), ...exposure],
    logFile: logFileOf(paths, name),
    directory,
    readyAddress: entry => {
      const listening = isReady(entry) ? portIn(entry['endpoint']) : undefined;
      return listening === undefined ? undefined : serverAddress(listening);
    },
  };
}

export function mountService(
  paths: LocalPaths,
  mountPoint: string,
  { port, goal }: { readonly port: number; readonly goal: number },
): ServiceDefinition {
  return {
    name: MOUNT,
    argv: [programPath('dfs'), 'mount', serverAddress(port), mountPoint, '--goal', String(goal)],
    logFile: logFileOf(paths, MOUNT),
    directory: mountPoint,
    readyAddress: entry => (isReady(entry) ? serverAddress(port) : undefined),
  };
}

function portIn(endpoint: unknown): number | undefined {
  if (typeof endpoint !== 'object' || endpoint === null || !('port' in endpoint)) return undefined;
  return typeof endpoint.port === 'number' ? endpoint.port : undefined;
}

/** The port in an address of ours. */
export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}
