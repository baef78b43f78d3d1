/** What programs are told when what they wrote is not stored. */
import { formatDuration } from '../platform/duration.js';
import { DfsError } from '../protocol/errors.js';

/** EIO: servers that are away keep what was acknowledged from being committed. */
export function notStored(timeoutMs: number): DfsError {
  const duration = formatDuration(timeoutMs);
  return new DfsError(
    'EIO',
    `what was written before is not stored after ${duration}: servers do not take it`,
  );
}

/** EIO: no data node has taken what was written within a time. */
export function notTaken(patienceMs: number): DfsError {
  const duration = formatDuration(patienceMs);
  return new DfsError('EIO', `what was written is not stored after ${duration}: no data node takes it`);
}
