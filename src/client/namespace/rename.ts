/** renameat2(2): decided by this client where it may, else by the server. */
import type { ReplyOf } from '../../protocol/command.js';
import { rename as command, RenameFlag } from '../../protocol/namespace-commands.js';
import type { NameCache } from '../caches/name-cache.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { changingNames, type ChangedName } from './changing-names.js';
import type { By, Owner } from './credentials.js';

export interface RenameOptions {
  /** Asked when the server is: whether the inode is a file of which nothing is left to be committed but what is logged. */
  readonly isSettled?: (inode: number) => boolean;
  /** RenameFlag bits. */
  readonly flags: number;
  /** Owner of the whiteout, with that flag. */
  readonly whiteoutOwner?: Owner | undefined;
}

/** Gives what has one name another one. */
export async function rename(
  session: MetadataSession,
  [parent, name]: ChangedName,
  [newParent, newName]: ChangedName,
  { flags, whiteoutOwner, isSettled = () => false }: RenameOptions,
  by: By,
): Promise<void> {
  if (newParent !== parent) await session.beginChange(newParent);
  await session.beginChange(parent);
  if (flags === 0 && session.foretold.names.rename(parent, name, newParent, newName, by)) return;
  const owner = whiteoutOwner ? { whiteoutOwner } : {};
  const request = { parent, name, newParent, newName, flags, ...owner, ...by };
  const moved = session.names.knows(parent, name);
  // Whoever waited for the new name looks into the file next.
  const execute = async () =>
    await (moved === undefined
      ? session.ordered.execute(command, request)
      : session.ordered.executeReturning(command, request, moved, () => isSettled(moved)));
  await changingNames(
    session.names,
    [
      [parent, name],
      [newParent, newName],
    ],
    async () => await session.opens.removing(newParent, newName, execute),
    (renamed, asked) =>
      learnRename(session.names, [parent, name], [newParent, newName], flags, renamed, asked),
  );
}

function learnRename(
  names: NameCache,
  [parent, name]: ChangedName,
  [newParent, newName]: ChangedName,
  flags: number,
  { inode, replaced, whiteout }: ReplyOf<typeof command>,
  asked: number,
): void {
  // Exchanged: two directories may have changed places.
  if ((flags & RenameFlag.exchange) !== 0) {
    names.forgetAll();
    return;
  }
  // Perhaps two names of one file, which stay as they are (POSIX rename()).
  if (replaced === 0 && names.knows(newParent, newName) !== 0) {
    names.forget(parent);
    names.forget(newParent);
    names.forget(inode);
    return;
  }
  if (whiteout === undefined) names.unlinked(parent, name, asked);
  else names.linked(parent, name, whiteout, asked);
  names.linked(newParent, newName, inode, asked);
  names.moved(inode, newParent);
  names.forget(replaced);
}
