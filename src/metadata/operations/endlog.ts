/** A session leaves no more intents of a file, and all of them are committed. */
import { endlog as command } from '../../protocol/content-commands.js';
import { endLog } from '../intents/open-log.js';
import { operation } from '../operation.js';

export const endlog = operation(command, async (tx, { inode, log, last }, context) => {
  const open = context.state.intentLogs.of(inode);
  // Otherwise it is replayed when the session has the file no longer to itself.
  const isOver = open?.log === log && open.session === context.session && open.done === last;
  if (isOver) await endLog(tx, open, context);
  return {};
});
