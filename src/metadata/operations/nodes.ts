/** Every data node ever registered, with its state. */
import { nodes as command } from '../../protocol/cluster-commands.js';
import { operation } from '../operation.js';

export const nodes = operation(command, async (_tx, _request, { state }) => ({
  nodes: state.nodes.status(state.clock.monotonicMs()),
}));
