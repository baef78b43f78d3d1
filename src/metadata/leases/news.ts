/** What became of a change, for the one session that has to hear of it (lease-table.ts, 9). */
import { attributesOf } from '../namespace/inodes.js';
import type { ChangeTrace } from './change-trace.js';
import type { RevocationMessage } from './lease-holder.js';

/**
 * Puts the directories in which names changed into the message, and the inodes to which these lead now.
 * @param isCached whether the session still caches a directory
 * @param mayTell asked of each inode before it is told: whether the session may cache it from now on
 */
export function tellNews(
  message: RevocationMessage,
  trace: ChangeTrace,
  isCached: (directory: number) => boolean,
  mayTell: (inode: number) => boolean,
): void {
  const tellInode = (inode: number): boolean => {
    const record = trace.inodes.get(inode)?.record;
    if (!record || !mayTell(inode)) return false;
    message.tell(attributesOf(record));
    return true;
  };
  for (const [directory, { record, names }] of trace.inodes) {
    if (!record || names.length === 0 || !isCached(directory)) continue;
    if (!message.hasRoomFor(1 + 2 * names.length)) return;
    const entries = names.filter(({ inode }) => inode === 0 || tellInode(inode));
    message.tell(attributesOf(record), entries);
  }
}
