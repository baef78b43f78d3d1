/** The record of the local cluster's mount, when another process has taken the mount over. */
import { join } from 'node:path';
import { toDfsError } from '../../protocol/errors.js';
import type { Logger } from '../../platform/log.js';
import { dfsHome } from '../dfs-home.js';
import { identify } from '../services/process-identity.js';
import { readRecord, writeRecord } from '../services/service-record.js';
import { MOUNT } from './layout.js';

/**
 * Notes that this process serves the mount at `mountPoint`, if `dfs local` has started it: so that it goes on to be shown, and
 * stopped. Never throws: the mount works without.
 */
export function inheritMountRecord(
  mountPoint: string,
  log: Logger,
  run: string = join(dfsHome(), 'run'),
): void {
  try {
    const record = readRecord(run, MOUNT);
    const self = identify(process.pid);
    if (!self || record?.directory !== mountPoint) return;
    writeRecord(run, MOUNT, { ...record, ...self });
  } catch (error) {
    log.warn({ reason: toDfsError(error).message }, 'dfs local does not know this process');
  }
}
