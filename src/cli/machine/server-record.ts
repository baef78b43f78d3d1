/** The metadata server of the cluster that this machine belongs to: what commands ask when nobody names one. */
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Endpoint } from '../../platform/network.js';
import { hasCode, toDfsError } from '../../protocol/errors.js';
import { formatEndpoint, parseServer } from '../address.js';
import { dfsHome, SYSTEM_HOME } from '../dfs-home.js';
import { writeWhole } from './config-files.js';
import type { MachineLayout } from './machine-layout.js';

const FILE = 'server';

/** Records the server, for all users of this machine where it is the machine's own. */
export async function recordServer(layout: MachineLayout, server: Endpoint): Promise<void> {
  const { configuration, configurationMode } = layout;
  await writeWhole(join(configuration, FILE), `${formatEndpoint(server)}\n`, configurationMode);
}

/** Nothing of the cluster is left on this machine. */
export async function forgetServer({ configuration }: MachineLayout): Promise<void> {
  await rm(join(configuration, FILE), { force: true });
}

/** The server that this user, else this machine, belongs to; undefined when there is no record. UsageError when it is damaged. */
export function recordedServer(): Endpoint | undefined {
  for (const home of new Set([dfsHome(), SYSTEM_HOME])) {
    const path = join(home, FILE);
    try {
      return parseServer(readFileSync(path, 'utf8').trim());
    } catch (error) {
      if (!hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES'))
        throw toDfsError(error).within(`cannot read ${path}`);
    }
  }
  return undefined;
}
