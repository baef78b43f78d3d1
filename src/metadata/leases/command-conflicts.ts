/** How each command gets along with what other sessions have to themselves (exclusive-leases.ts). */
import {
  drain,
  heartbeat,
  inventory,
  nodes,
  rebalance,
  reg,
  removenode,
} from '../../protocol/cluster-commands.js';
import { amend, get, getfiles, grant, release } from '../../protocol/content-commands.js';
import {
  getattr,
  getxattr,
  list,
  listxattr,
  lookup,
  readdir,
  readlink,
  readnames,
  resolve,
  statfs,
} from '../../protocol/namespace-commands.js';
import { batch, end, renew, session, sync } from '../../protocol/session-commands.js';
import type { AtConflict } from './reading.js';

/**
 * Commands by which nobody hears of names, attributes or content, nor changes what another session may have changed already. A
 * batch changes only what its session has to itself.
 */
const OUT_OF_TURN: ReadonlySet<number> = new Set(
  [
    reg,
    heartbeat,
    inventory,
    nodes,
    drain,
    removenode,
    rebalance,
    session,
    renew,
    end,
    sync,
    batch,
    release,
    grant,
    amend,
    statfs,
  ].map(({ number }) => number),
);

/** Whether a command waits until every session of an earlier process has said what it has to itself. */
export function needsTurn(command: number): boolean {
  return !OUT_OF_TURN.has(command);
}

/** Commands that only tell, and may tell of many inodes. */
const TELLING: ReadonlySet<number> = new Set(
  [get, getattr, getfiles, getxattr, list, listxattr, lookup, readdir, readlink, readnames, resolve].map(
    ({ number }) => number,
  ),
);
/** Commands that read an inode only to see whether anybody needs it any more. */
const CLOSING: ReadonlySet<number> = new Set([end, release, session].map(({ number }) => number));

/** What becomes of a request for what another session has to itself. */
export function conflictOf(command: number): AtConflict {
  if (TELLING.has(command)) return 'gather';
  return CLOSING.has(command) ? 'ignore' : 'stop';
}
