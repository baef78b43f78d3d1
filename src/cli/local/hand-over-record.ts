/** A mount of the local cluster whose process is replaced (`dfs mount --take-over`) stays the cluster's. */
import type { Logger } from '../../platform/log.js';
import { toDfsError } from '../../protocol/errors.js';
import { identify } from '../services/process-identity.js';
import { readRecord, writeRecord } from '../services/service-record.js';
import { MOUNT } from './layout.js';

/**
 * Where the record of the mount names the process `from`, it names `to` from now on. Never throws: the mount is served without it.
 * @param runDirectory of the local cluster, if there is one
 */
export function handOverRecord(runDirectory: string, from: number, to: number, log: Logger): void {
  try {
    const record = readRecord(runDirectory, MOUNT);
    const [before, successor] = [identify(from), identify(to)];
    if (!record || !before || !successor) return;
    const isItsRecord =
      record.pid === from && record.started === before.started && record.boot === before.boot;
    if (isItsRecord) writeRecord(runDirectory, MOUNT, { ...record, ...successor });
  } catch (error) {
    // Of a user who mounts by another's DFS_HOME, the record is the other's, and not of this mount.
    log.debug({ reason: toDfsError(error).message }, 'no record of a local cluster can be read');
  }
}
