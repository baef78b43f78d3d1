/**
 * Which users of the cluster the users of a client are. The client says who asks by the cluster's numbers, so that everything it keeps
 * and decides is in them, and shows its programs its own; the metadata server takes no number that the client's rule does not give it.
 */
import { DfsError } from '../protocol/errors.js';
import type { Identities, IdRange } from '../protocol/export-commands.js';
import type { Caller } from '../protocol/types.js';

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Of a caller of the client's machine, who that is in the cluster. */
export function callerInCluster(rights: Identities, { uid, gid, groups }: Caller): Caller {
  return claimedCaller(rights, {
    uid: uidInCluster(rights, uid),
    gid: gidInCluster(rights, gid),
    groups: groups.map(group => gidInCluster(rights, group)),
  });
}

/** The same for the owner of what the client makes. */
export function ownerInCluster(rights: Identities, { uid, gid }: Owner): Owner {
  return claimedOwner(rights, { uid: uidInCluster(rights, uid), gid: gidInCluster(rights, gid) });
}

/** Who a client may be that says to be this user of the cluster: a user that its rule does not give it is the anonymous one. */
export function claimedCaller(rights: Identities, { uid, gid, groups }: Caller): Caller {
  const owner = claimedOwner(rights, { uid, gid });
  return {
    ...owner,
    groups: rights.squash === 'all' ? [] : groups.filter(group => mayClaimGid(rights, group)),
  };
}

export function claimedOwner(rights: Identities, { uid, gid }: Owner): Owner {
  return {
    uid: mayClaimUid(rights, uid) ? uid : rights.anonUid,
    gid: mayClaimGid(rights, gid) ? gid : rights.anonGid,
  };
}

/** Whether the client may say that this user of the cluster asks. */
export function mayClaimUid({ squash, anonUid, uids }: Identities, uid: number): boolean {
  return uid === anonUid || (squash !== 'all' && !(uid === 0 && squash === 'root') && isInImage(uids, uid));
}

export function mayClaimGid({ squash, anonGid, gids }: Identities, gid: number): boolean {
  return gid === anonGid || (squash !== 'all' && !(gid === 0 && squash === 'root') && isInImage(gids, gid));
}

/**
 * The cluster's numbers for those to whom a client gives an inode (chown(2)). EINVAL for one that the cluster does not know, as where
 * users are mapped in Linux.
 */
export function givenInCluster<Given extends Partial<Owner>>(rights: Identities, given: Given): Given {
  const { uids, gids } = rights;
  return {
    ...given,
    ...(given.uid === undefined ? {} : { uid: knownInCluster(uids, given.uid, 'user') }),
    ...(given.gid === undefined ? {} : { gid: knownInCluster(gids, given.gid, 'group') }),
  };
}

/** The number that the client's machine has for a user of the cluster: the anonymous one's for one that it has no number for. */
export function uidOnClient({ uids, anonUid }: Identities, uid: number): number {
  return uids.length === 0 ? uid : (mapped(uids, uid, 'cluster', 'client') ?? anonUid);
}

export function gidOnClient({ gids, anonGid }: Identities, gid: number): number {
  return gids.length === 0 ? gid : (mapped(gids, gid, 'cluster', 'client') ?? anonGid);
}

/** The cluster's number for a user of the client's machine: the anonymous one for a user that the cluster does not know. */
function uidInCluster({ uids, anonUid }: Identities, uid: number): number {
  return uids.length === 0 ? uid : (mapped(uids, uid, 'client', 'cluster') ?? anonUid);
}

function gidInCluster({ gids, anonGid }: Identities, gid: number): number {
  return gids.length === 0 ? gid : (mapped(gids, gid, 'client', 'cluster') ?? anonGid);
}

function knownInCluster(ranges: readonly IdRange[], id: number, what: string): number {
  const found = ranges.length === 0 ? id : mapped(ranges, id, 'client', 'cluster');
  if (found !== undefined) return found;
  throw new DfsError('EINVAL', `the cluster knows no ${what} ${id} of this machine (dfs export list)`);
}

function isInImage(ranges: readonly IdRange[], id: number): boolean {
  return ranges.length === 0 || mapped(ranges, id, 'cluster', 'client') !== undefined;
}

function mapped(
  ranges: readonly IdRange[],
  id: number,
  from: 'client' | 'cluster',
  to: 'client' | 'cluster',
): number | undefined {
  const range = ranges.find(each => id >= each[from] && id < each[from] + each.count);
  return range && range[to] + (id - range[from]);
}
