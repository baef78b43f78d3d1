/**
 * What each command that clients send means for a session that may not do everything: which inodes it names, whether it changes
 * something, and how who asks is found. A command that has no rule here is refused to such a session.
 */
import type { TSchema, Static } from '@sinclair/typebox';
import type { Command } from '../../protocol/command.js';
import { nodes } from '../../protocol/cluster-commands.js';
import {
  amend,
  blocks,
  clone,
  endlog,
  fallocate,
  get,
  getfiles,
  grant,
  open,
  put,
  release,
  unsynced,
} from '../../protocol/content-commands.js';
import { hasCode } from '../../protocol/errors.js';
import { cancellock, lock, testlock, unlock } from '../../protocol/lock-commands.js';
import {
  accessed,
  getattr,
  getxattr,
  link,
  list,
  listxattr,
  lookup,
  mkdir,
  mknod,
  readdir,
  readlink,
  readnames,
  removexattr,
  rename,
  resolve,
  rmdir,
  setattr,
  setxattr,
  statfs,
  symlink,
  tmpfile,
  unlink,
} from '../../protocol/namespace-commands.js';
import { batch, end, hold, renew, session, sync } from '../../protocol/session-commands.js';
import type { Caller } from '../../protocol/types.js';
import { Access } from '../../rules/permissions.js';
import type { StoreTransaction } from '../store/store.js';
import type { SessionRights } from './session-rights.js';

/** Finds out who asks, and returns the request as it is to be executed. */
type Identify<Request> = (
  request: Request,
  rights: SessionRights,
  tx: StoreTransaction,
) => Request | Promise<Request>;

export interface CommandRule<Request = object> {
  /** The inodes that it names: the session must reach them. */
  readonly names: (request: Request) => readonly number[];
  readonly isChange: boolean;
  /** Whether a client may send it that has begun no session. */
  readonly isForStrangers: boolean;
  /** What is left of the request: without what the session does not reach, for commands that are about as much as there is. */
  readonly within?: Identify<Request>;
  /** Of a session that does not speak for root. */
  readonly identify: Identify<Request>;
}

interface Declared<Request> {
  readonly names?: CommandRule<Request>['names'];
  readonly isChange?: boolean;
  readonly isForStrangers?: boolean;
  readonly within?: CommandRule<Request>['within'];
  readonly identify?: Identify<Request>;
}

type Named = readonly [number, CommandRule];

function rule<Request extends TSchema, Reply extends TSchema>(
  { number }: Command<Request, Reply>,
  declared: Declared<Static<Request>> = {},
): Named {
  const { names = () => [], isChange = false, isForStrangers = false, within } = declared;
  const { identify = request => request } = declared;
  const full: CommandRule<Static<Request>> = {
    names,
    isChange,
    isForStrangers,
    identify,
    ...(within ? { within } : {}),
  };
  // Found by the command's number, and so used for its requests only.
  return [number, full as unknown as CommandRule];
}

interface OfCaller {
  readonly caller?: Caller | undefined;
}

interface OfOwner extends OfCaller {
  readonly uid: number;
  readonly gid: number;
}

/** A request by name: its caller is who it says, as far as that counts, and the anonymous user when it says nobody. */
function byName<Request extends OfCaller>(request: Request, rights: SessionRights): Request {
  return { ...request, caller: rights.claimed(request.caller) };
}

/** The same for one that makes an inode. */
function making<Request extends OfOwner>(request: Request, rights: SessionRights): Request {
  return { ...byName(request, rights), ...rights.owner(request) };
}

/**
 * A request about one inode: without a caller it is the client's own, for what its users have in hand, or will ask; then it is made for
 * anybody for whom the session speaks.
 */
function byInode<Request extends OfCaller>(
  inodeOf: (request: Request) => number,
  wanted: number,
): Identify<Request> {
  return async (request, rights, tx) => {
    if (request.caller) return byName(request, rights);
    const inode = await tx.inodes.get(inodeOf(request));
    return inode ? { ...request, caller: await rights.anybodyWith(tx, inode, wanted) } : request;
  };
}

/** A change of content, by handle: EACCES unless the session may. Privileges go unless the session speaks for the file's owner. */
async function writing<Request extends { readonly inode: number }>(
  request: Request,
  rights: SessionRights,
  tx: StoreTransaction,
): Promise<Request> {
  const inode = await tx.inodes.get(request.inode);
  if (!inode) return request;
  await rights.checkContent(tx, inode, undefined, Access.write);
  return rights.isOwner(inode) ? request : { privilegeLoss: 'all', ...request };
}

/** Locks need the file open, to read or to write. */
async function locking<Request>(
  inode: number,
  request: Request,
  rights: SessionRights,
  tx: StoreTransaction,
): Promise<Request> {
  const record = await tx.inodes.get(inode);
  if (!record) return request;
  try {
    await rights.checkContent(tx, record, undefined, Access.read);
  } catch (error) {
    if (!hasCode(error, 'EACCES')) throw error;
    await rights.checkContent(tx, record, undefined, Access.write);
  }
  return request;
}

/** command number → its rule */
const RULES: ReadonlyMap<number, CommandRule> = new Map([
  rule(session, { isForStrangers: true }),
  rule(renew),
  rule(end),
  rule(sync),
  rule(nodes, { isForStrangers: true }),
  rule(statfs),
  // Its changes are judged one by one.
  rule(batch),
  rule(hold, {
    // Without inodes and numbers of its own a client decides nothing by itself.
    within: async (request, rights, tx) =>
      rights.mayDecide
        ? { ...request, inodes: await reached(request.inodes, rights, tx) }
        : { ...request, inodes: [], reserve: 0 },
  }),

  rule(lookup, {
    names: ({ parent }) => [parent],
    identify: byInode(({ parent }) => parent, Access.execute),
  }),
  rule(resolve, { names: ({ start }) => [start], identify: byInode(({ start }) => start, Access.execute) }),
  rule(getattr, { names: ({ inode }) => [inode] }),
  rule(readlink, { names: ({ inode }) => [inode] }),
  rule(readdir, { names: ({ inode }) => [inode], identify: byInode(({ inode }) => inode, Access.read) }),
  rule(readnames, { names: ({ inode }) => [inode], identify: byInode(({ inode }) => inode, Access.read) }),
  rule(list, {
    names: ({ root }) => [root],
    identify: byInode(({ root }) => root, Access.read | Access.execute),
  }),

  rule(mknod, { names: ({ parent }) => [parent], isChange: true, identify: making }),
  rule(mkdir, { names: ({ parent }) => [parent], isChange: true, identify: making }),
  rule(symlink, { names: ({ parent }) => [parent], isChange: true, identify: making }),
  rule(tmpfile, { names: ({ parent }) => [parent], isChange: true, identify: making }),
  rule(put, { names: ({ parent }) => [parent], isChange: true, identify: making }),
  rule(link, { names: ({ parent, inode }) => [parent, inode], isChange: true, identify: byName }),
  rule(unlink, { names: ({ parent }) => [parent], isChange: true, identify: byName }),
  rule(rmdir, { names: ({ parent }) => [parent], isChange: true, identify: byName }),
  rule(rename, {
    names: ({ parent, newParent }) => [parent, newParent],
    isChange: true,
    identify: (request, rights) => {
      const { whiteoutOwner: owner } = request;
      return { ...byName(request, rights), ...(owner ? { whiteoutOwner: rights.owner(owner) } : {}) };
    },
  }),
  rule(setattr, {
    names: ({ inode }) => [inode],
    isChange: true,
    identify: async (request, rights, tx) => {
      const { caller, mode, uid, gid, size } = request;
      const isOfContent = size !== undefined && mode === undefined && uid === undefined && gid === undefined;
      // ftruncate(2) asks for what open(2) has been asked for.
      if (caller || !isOfContent) return byName(request, rights);
      return await writing(request, rights, tx);
    },
  }),
  rule(accessed, {
    isChange: true,
    within: async ({ accesses }, rights, tx) => {
      const named = accesses.map(({ inode }) => inode);
      const inodes = await reached(named, rights, tx);
      return { accesses: accesses.filter(({ inode }) => inodes.includes(inode)) };
    },
  }),

  rule(getxattr, { names: ({ inode }) => [inode], identify: byInode(({ inode }) => inode, Access.read) }),
  rule(listxattr, { names: ({ inode }) => [inode], identify: byName }),
  rule(setxattr, { names: ({ inode }) => [inode], isChange: true, identify: byName }),
  rule(removexattr, { names: ({ inode }) => [inode], isChange: true, identify: byName }),

  rule(open, {
    names: ({ inode }) => [inode],
    within: (request, rights) => {
      if (((request.access ?? 0) & Access.write) !== 0) rights.requireWritable();
      return request;
    },
    // That a file is open says nothing of what may be done with it, unless somebody is named who may.
    identify: (request, rights) => (request.caller ? byName(request, rights) : { ...request, access: 0 }),
  }),
  rule(release),
  rule(grant, { isChange: true }),
  rule(amend, { isChange: true }),
  // Whether the content may be read is asked where it is told (content/content-access.ts).
  rule(get, { names: ({ inode }) => [inode], identify: claiming }),
  rule(getfiles, {
    within: async (request, rights, tx) => ({
      ...request,
      inodes: await reached(request.inodes, rights, tx),
    }),
    identify: claiming,
  }),
  rule(clone, {
    names: ({ source, target }) => [source, target],
    isChange: true,
    identify: async (request, rights, tx) => {
      const target = await tx.inodes.get(request.target);
      const isOwner = !target || rights.isOwner(target);
      return { ...(isOwner ? {} : { privilegeLoss: 'all' as const }), ...claiming(request, rights) };
    },
  }),
  rule(unsynced, { names: ({ inode }) => [inode] }),
  rule(blocks, { names: ({ inode }) => [inode], isChange: true, identify: writing }),
  // It names its own log.
  rule(endlog),
  rule(fallocate, { names: ({ inode }) => [inode], isChange: true, identify: writing }),

  rule(lock, {
    names: ({ lock: { inode } }) => [inode],
    identify: async (request, rights, tx) => await locking(request.lock.inode, request, rights, tx),
  }),
  rule(testlock, { names: ({ lock: { inode } }) => [inode] }),
  rule(cancellock),
  rule(unlock),
]);

/** What the command means; undefined for one that such sessions do not send. */
export function ruleOf(command: Pick<Command, 'number'>): CommandRule | undefined {
  return RULES.get(command.number);
}

/** A request that may come without a caller, by handle. */
function claiming<Request extends OfCaller>(request: Request, rights: SessionRights): Request {
  return request.caller ? byName(request, rights) : request;
}

async function reached(
  inodes: readonly number[],
  rights: SessionRights,
  tx: StoreTransaction,
): Promise<number[]> {
  const found: number[] = [];
  for (const inode of inodes) if (await rights.reaches(tx, inode)) found.push(inode);
  return found;
}
