/**
 * Records when inodes were read, by mount(8)'s relatime. Not numbered, and not held up by revocations:
 * an access time that comes late or not at all breaks no promise. ctime and the version stay, as read(2) leaves them.
 */
import { movesAccessTime } from '../../rules/access-time.js';
import { accessed as command } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import { attributesOf } from '../namespace/inodes.js';
import { operation } from '../operation.js';

export const accessed = operation(command, async (tx, { accesses }, { now }) => {
  const attributes: Attributes[] = [];
  for (const { inode, atime } of accesses) {
    const record = await tx.inodes.get(inode);
    if (!record) continue;
    // A client's clock may be ahead.
    const isLater = atime.sec > now.sec || (atime.sec === now.sec && atime.nsec > now.nsec);
    const at = isLater ? now : atime;
    const moved = movesAccessTime(record, at) ? { ...record, atime: at } : record;
    if (moved !== record) await tx.inodes.update(moved);
    attributes.push(attributesOf(moved));
  }
  return { attributes };
});
