/** Checks grants: a chunk is stored or read only as the metadata server has allowed. */
import { formatDuration } from '../platform/duration.js';
import { DfsError } from '../protocol/errors.js';
import { isGrantSigned } from '../protocol/grant-signature.js';
import { expiryOf, type ReadGrantKey } from '../protocol/read-grants.js';
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
  const expired = expiredFor(chunk, grant.expiresMs, authority);
  if (expired) throw expired;
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

/** A part of a chunk that is asked for, with the permission to read it. */
export interface PartToRead {
  readonly chunk: number;
  readonly grant: Uint8Array;
}

/** Why each of these parts may not be read, EACCES; undefined for those that may. */
export function readRefusals(
  parts: readonly PartToRead[],
  authority: Pick<GrantAuthority, 'serverMs'> & { readonly key: ReadGrantKey },
): (DfsError | undefined)[] {
  const areSigned = authority.key.areSigned(parts);
  return parts.map(({ chunk, grant }, index) => {
    if (areSigned[index] === true) return expiredFor(chunk, expiryOf(grant), authority);
    return new DfsError(
      'EACCES',
      `chunk ${chunk} may not be read without the metadata server's grant for it`,
    );
  });
}

function expiredFor(
  chunk: number,
  expiresMs: number,
  { serverMs }: Pick<GrantAuthority, 'serverMs'>,
): DfsError | undefined {
  if (expiresMs > serverMs) return undefined;
  return new DfsError(
    'EACCES',
    `the grant for chunk ${chunk} expired ${formatDuration(serverMs - expiresMs)} ago; ask for another one`,
  );
}
