/** One step of a path (POSIX 4.16 Pathname Resolution). */
import { lookup as command } from '../../protocol/namespace-commands.js';
import { nameRefusal, isDot, isDotDot } from '../../rules/names.js';
import { refuse } from '../../rules/refusal.js';
import { attributesOf, requireDirectory, requireEntry, requireInode } from '../namespace/inodes.js';
import { checkSearch } from '../namespace/permissions.js';
import { operation, type OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

/** The inode that a name in a directory leads to; `.` is the directory, `..` its parent, the root's is the root, also of a session that sees less than everything. */
export async function step(
  tx: StoreTransaction,
  directory: InodeRecord,
  name: Uint8Array,
  { rights }: Pick<OperationContext, 'rights'>,
): Promise<InodeRecord> {
  refuse(nameRefusal(name));
  if (isDot(name)) return directory;
  if (isDotDot(name) && directory.inode === rights?.root) return directory;
  if (isDotDot(name)) return await requireInode(tx, directory.parent);
  return await requireEntry(tx, directory.inode, name);
}

export const lookup = operation(command, async (tx, { parent, name, caller }, context) => {
  const directory = await requireDirectory(tx, parent);
  await checkSearch(tx, directory, caller);
  return { attributes: attributesOf(await step(tx, directory, name, context)) };
});
