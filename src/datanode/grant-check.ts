/** Whether a chunk may be stored here: what the metadata server allowed, and nothing else. */
import { formatDuration } from '../platform/duration.js';
import { DfsError } from '../protocol/errors.js';
import { isGrantSigned } from '../protocol/grant-signature.js';
import type { Grant, NodeAddress } from '../protocol/types.js';

/** Who checks. */
export interface GrantAuthority {
  readonly key: Uint8Array;
  /** This node's number. */
  readonly node: number;
  /** Ms since the epoch by the metadata server's clock (server-time.ts). */
  readonly serverMs: number;
}

/**
 * Throws EACCES when the grant is not the metadata server's, has expired, or is not for this node or the nodes to
 * forward to; EINVAL when the chunk is empty or longer than granted.
 */
export function checkGrant(
  grant: Grant,
  length: number,
  forward: readonly NodeAddress[],
  authority: GrantAuthority,
): void {
  const { chunk } = grant;
  if (!isGrantSigned(authority.key, grant)) {
    throw new DfsError(
      'EACCES',
      `the grant for chunk ${chunk} is not signed by this cluster's metadata server`,
    );
  }
  const { serverMs } = authority;
  if (grant.expiresMs <= serverMs) {
    throw new DfsError(
      'EACCES',
      `the grant for chunk ${chunk} expired ${formatDuration(serverMs - grant.expiresMs)} ago; ask for another one`,
    );
  }
  if (!grant.nodes.includes(authority.node)) {
    throw new DfsError('EACCES', `the grant for chunk ${chunk} is not for node ${authority.node}`);
  }
  const others = new Set<number>();
  for (const { node } of forward) {
    if (node === authority.node || others.has(node) || !grant.nodes.includes(node)) {
      throw new DfsError('EACCES', `chunk ${chunk} is not to be passed on to node ${node}`);
    }
    others.add(node);
  }
  if (length < 1) throw new DfsError('EINVAL', 'a chunk has at least one byte');
  if (length > grant.maxBytes) {
    throw new DfsError(
      'EINVAL',
      `chunk ${chunk} has ${length} bytes, but the grant is for at most ${grant.maxBytes}`,
    );
  }
}
