/** Every data node ever registered, and how it is. */
import { nodes as command } from '../../protocol/cluster-commands.js';
import { operation } from '../operation.js';

export const nodes = operation(command, async (_tx, _request, { state }) => ({
  nodes: state.nodes.status(state.clock.monotonicMs()),
}));
