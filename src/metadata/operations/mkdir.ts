/** mkdir(2). */
import { PERMISSION_BITS, S_IFDIR } from '../../protocol/file-mode.js';
import { mkdir as command } from '../../protocol/namespace-commands.js';
import { subdirectoryRefusal } from '../../rules/entries.js';
import { refuse } from '../../rules/refusal.js';
import { checkReserved, createInode, requireFreeName } from '../namespace/creation.js';
import { attributesOf } from '../namespace/inodes.js';
import { operation } from '../operation.js';

export const mkdir = operation(command, async (tx, request, context) => {
  const directory = await requireFreeName(tx, request.parent, request.name, request.caller);
  refuse(subdirectoryRefusal(directory));
  await checkReserved(tx, request.number, context);
  const inode = await createInode(
    tx,
    directory,
    request.name,
    {
      mode: S_IFDIR | (request.mode & PERMISSION_BITS),
      umask: request.umask,
      uid: request.uid,
      gid: request.gid,
      number: request.number,
    },
    context,
  );
  return { attributes: attributesOf(inode) };
});
