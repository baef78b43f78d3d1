/** Gives a session inodes to itself (leases/exclusive-leases.ts), and numbers for new ones. */
import { toRanges } from '../../protocol/inode-ranges.js';
import { hold as command, type Holding } from '../../protocol/session-commands.js';
import { attributesOf } from '../namespace/inodes.js';
import { operation, type OperationContext } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';

export const hold = operation(command, async (tx, request, context) => {
  const { session, inodes, turn = false, reserve } = request;
  const { sessions, leases, room, clock } = context.state;
  sessions.require(session, clock.monotonicMs());
  const freeBytes = freeBytesOf(context);
  if (room.isShort) return { given: [], freeBytes, now: context.now, ahead: 0 };
  const given = inodes.filter(inode => leases.tryGive(session, inode, context.claim, turn));
  return {
    given: toRanges(given),
    freeBytes,
    now: context.now,
    ahead: aheadOf(context),
    ...reserved(session, reserve, context),
    ...(turn ? await holding(tx, given) : {}),
  };
});

/** What the session whose turn it is needs to know, so that it need not ask. */
async function holding(
  tx: StoreTransaction,
  [inode]: readonly number[],
): Promise<{ readonly holding?: Holding }> {
  const record = inode === undefined ? undefined : await tx.inodes.get(inode);
  if (!record) return {};
  const hasXattrs = (await tx.xattrs.names(record.inode)).length > 0;
  return { holding: { attributes: attributesOf(record), hasXattrs } };
}

/** What is free on the fullest node that lives: a chunk that is stored before anybody asks must not find it full. */
export function freeBytesOf({ state }: OperationContext): number {
  const live = state.nodes.live(state.clock.monotonicMs());
  return live.length === 0 ? 0 : Math.min(...live.map(({ space }) => space.freeBytes));
}

/** What every session may have ahead, unless there is no room at all: the margin of the room has it for hundreds of them. */
const LEAST_AHEAD = 16;

/**
 * How many changes each session may have acknowledged that are not committed: together there is room for them, whatever
 * happens. Those who change nothing need none.
 */
export function aheadOf({ state }: OperationContext): number {
  const { ahead } = state.room;
  const share = Math.floor(ahead / Math.max(1, state.exclusive.activeCount()));
  return ahead === 0 ? 0 : Math.max(LEAST_AHEAD, share);
}

/** Inode numbers for the client to give, as many as it asks for, unless too many are at work with inodes of their own. */
export function reserved(
  session: number,
  count: number,
  { state }: OperationContext,
): { readonly inodes?: { readonly first: number; readonly count: number } } {
  const { exclusive } = state;
  if (count === 0 || exclusive.isFull) return {};
  const first = state.inodeNumbers.takeRange(count);
  for (let inode = first; inode < first + count; inode += 1) if (!exclusive.give(session, inode)) return {};
  return { inodes: { first, count } };
}
