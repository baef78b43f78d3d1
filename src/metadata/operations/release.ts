/** A session has some inodes open no more. */
import { release as command } from '../../protocol/content-commands.js';
import { closeInode } from '../namespace/removal.js';
import { operation } from '../operation.js';

/** Nothing to do for a session that has ended: what it had open was closed with it. */
export const release = operation(command, async (tx, { inodes, session }, context) => {
  const { sessions, clock } = context.state;
  const known = sessions.get(session);
  if (known) known.heardMs = clock.monotonicMs();
  for (const inode of inodes) {
    context.rights?.opens.delete(inode);
    await closeInode(tx, session, inode, context);
  }
  return {};
});
