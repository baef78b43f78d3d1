/** A data node says that it lives, and learns which chunks it may delete. */
import { MAX_DROPS } from '../../protocol/limits.js';
import { heartbeat as command } from '../../protocol/metadata-commands.js';
import { operation } from '../operation.js';

export const heartbeat = operation(command, async (tx, request, context) => {
  const { state, peer, nowMs } = context;
  const { node, id, totalBytes, freeBytes, chunks } = request;
  const known = state.nodes.get(node);
  // One that has not registered since this process started may have another address by now.
  if (!known || known.record.id !== id || known.heardMs === undefined) return { known: false, drop: [] };
  for (const chunk of request.dropped) await tx.drops.delete(node, chunk);
  state.nodes.set({
    ...known,
    space: { totalBytes, freeBytes, chunks },
    heardMs: state.clock.monotonicMs(),
    peer,
  });
  return { known: true, drop: await tx.drops.due(node, nowMs, MAX_DROPS) };
});
