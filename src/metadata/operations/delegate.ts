/** Gives a session the delegation (leases/delegation.ts). */
import { delegate as command } from '../../protocol/session-commands.js';
import { operation, type OperationContext } from '../operation.js';

/** Everybody else has dropped what he cached by now, if nobody came in between. */
export const delegate = operation(command, async (tx, { session, reserve }, context) => {
  const { sessions, leases, delegation, room, clock } = context.state;
  sessions.require(session, clock.monotonicMs());
  const freeBytes = freeBytesOf(context);
  if (room.isShort || !leases.isOnlyHolder(session) || !delegation.isAlone(session))
    return { isGranted: false, freeBytes, now: context.now };
  if (delegation.holder !== session) {
    // A server that starts after a power loss has to know for whom to wait.
    if ((await tx.counters.get('delegation')) !== session) {
      await tx.counters.set('delegation', session);
      context.control.requireDurable();
    }
    context.control.onRollback(delegation.give(session));
  }
  return { isGranted: true, freeBytes, now: context.now, ahead: room.ahead, ...reserved(reserve, context) };
});

/** What is free on the fullest node that lives: a chunk that is stored before anybody asks must not find it full. */
export function freeBytesOf({ state }: OperationContext): number {
  const live = state.nodes.live(state.clock.monotonicMs());
  return live.length === 0 ? 0 : Math.min(...live.map(({ space }) => space.freeBytes));
}

/** Inode numbers for the client to give, as many as it asks for. */
export function reserved(
  count: number,
  { state }: OperationContext,
): { readonly inodes?: { readonly first: number; readonly count: number } } {
  return count === 0 ? {} : { inodes: { first: state.inodeNumbers.takeRange(count), count } };
}
