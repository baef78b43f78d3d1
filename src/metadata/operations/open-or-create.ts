/** open(2) with O_CREAT: the common part of `mknod` and `put`. */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory, isRegularFile, isSymlink } from '../../protocol/file-mode.js';
import type { Attributes, Caller } from '../../protocol/types.js';
import { createInode, requireFreeName, type NewInode } from '../namespace/creation.js';
import { attributesOf, requireLinkedDirectory } from '../namespace/inodes.js';
import { newNameRefusal, quoted } from '../../rules/names.js';
import { refuse } from '../../rules/refusal.js';
import { Access } from '../../rules/permissions.js';
import { checkCreate, checkSearch } from '../namespace/permissions.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

export interface OpenOrCreate {
  readonly parent: number;
  readonly name: Uint8Array;
  /** EEXIST for a name that is there. */
  readonly exclusive: boolean;
  readonly caller?: Caller | undefined;
  readonly created: NewInode;
  /** The session that has it open at once. */
  readonly session?: number | undefined;
}

export interface OpenedOrCreated {
  readonly attributes: Attributes;
  readonly created: boolean;
}

/** Creates a file, or takes the regular file that is there. */
export async function openOrCreate(
  tx: StoreTransaction,
  request: OpenOrCreate,
  context: OperationContext,
): Promise<OpenedOrCreated> {
  const { parent, name, session, caller } = request;
  if (session !== undefined) context.state.opens.checkRoom(session);
  if (!request.exclusive) {
    refuse(newNameRefusal(name));
    const directory = await requireLinkedDirectory(tx, parent);
    await checkSearch(tx, directory, caller);
    const existing = await tx.dentries.get(parent, name);
    if (existing) {
      checkOpenable(existing, name);
      markOpen(session, existing.inode, context);
      if (session !== undefined) context.rights?.noteOpen(existing.inode, 0);
      return { attributes: attributesOf(existing), created: false };
    }
    await checkCreate(tx, directory, caller);
    return await create(tx, directory, request, context);
  }
  return await create(tx, await requireFreeName(tx, parent, name, caller), request, context);
}

/** The session has the inode open. */
export function markOpen(session: number | undefined, inode: number, context: OperationContext): void {
  const { opens } = context.state;
  if (session === undefined || !opens.add(session, inode)) return;
  context.control.onRollback(() => opens.delete(session, inode));
}

async function create(
  tx: StoreTransaction,
  directory: InodeRecord,
  { name, created, session }: OpenOrCreate,
  context: OperationContext,
): Promise<OpenedOrCreated> {
  const inode = await createInode(tx, directory, name, created, context);
  markOpen(session, inode.inode, context);
  if (session !== undefined) context.rights?.noteOpen(inode.inode, Access.read | Access.write);
  return { attributes: attributesOf(inode), created: true };
}

/**
 * open(2): EISDIR, "pathname refers to a directory and the access requested involved writing"; ENXIO, "the file is a
 * UNIX domain socket", and the same for other files whose content is not ours; ELOOP for a symbolic link, which the
 * caller should have followed.
 */
function checkOpenable({ mode }: InodeRecord, name: Uint8Array): void {
  if (isRegularFile(mode)) return;
  if (isDirectory(mode)) throw new DfsError('EISDIR', `${quoted(name)} is a directory`);
  if (isSymlink(mode)) throw new DfsError('ELOOP', `${quoted(name)} is a symbolic link`);
  throw new DfsError('ENXIO', `${quoted(name)} is not a regular file`);
}
