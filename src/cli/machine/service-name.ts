/** The servers of a machine by name: `metadata`, `node`, and for further disks `node-NAME`. */
import { basename } from 'node:path';

export type ServiceName = 'metadata' | 'node' | `node-${string}`;

/** The metadata server's. */
export const METADATA = 'metadata';

const MAX_PART = 40;

/** A name for the server of a further data directory, which none of `taken` has. */
export function nodeServiceName(directory: string, taken: ReadonlySet<string>): ServiceName {
  if (!taken.has('node')) return 'node';
  const part = basename(directory)
    .replaceAll(/[^A-Za-z0-9_]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, MAX_PART);
  const name = `node-${part === '' ? '2' : part}` as const;
  for (let number = 2; ; number += 1) {
    const candidate = number === 2 ? name : (`${name}-${number}` as const);
    if (!taken.has(candidate)) return candidate;
  }
}

/** Whether `name` is the server of a data directory. */
export function isNodeService(name: string): name is ServiceName {
  return name === 'node' || name.startsWith('node-');
}
