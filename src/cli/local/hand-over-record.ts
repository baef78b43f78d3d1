/** A mount of the local cluster whose process is replaced (`dfs mount --take-over`) stays the cluster's. */
import { identify } from '../services/process-identity.js';
import { readRecord, writeRecord } from '../services/service-record.js';
import { MOUNT } from './layout.js';

/**
 * Where the record of the mount names the process `from`, it names `to` from now on.
 * @param runDirectory of the local cluster, if there is one
 */
export function handOverRecord(runDirectory: string, from: number, to: number): void {
  const record = readRecord(runDirectory, MOUNT);
  const [before, successor] = [identify(from), identify(to)];
  if (!record || !before || !successor) return;
  const isItsRecord = record.pid === from && record.started === before.started && record.boot === before.boot;
  if (isItsRecord) writeRecord(runDirectory, MOUNT, { ...record, ...successor });
}
