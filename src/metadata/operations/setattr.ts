/** chmod(2), chown(2), truncate(2) and utimensat(2). */
import { ACCESS_ACL } from '../../protocol/attribute-names.js';
import { setattr as command } from '../../protocol/namespace-commands.js';
import { setattrPermissionRefusal, setattrRefusal, withAttributes } from '../../rules/attributes.js';
import { freedByResize, resized } from '../../rules/content.js';
import { aclWithMode, decodeAcl, encodeAcl } from '../../rules/posix-acl.js';
import { privilegesLost } from '../../rules/privileges.js';
import { refuse } from '../../rules/refusal.js';
import { ChunkReferences } from '../content/chunk-references.js';
import { cutTail } from '../content/extent-map.js';
import { dropCapability } from '../namespace/capabilities.js';
import { attributesOf, requireInode } from '../namespace/inodes.js';
import { consultedAcl } from '../namespace/permissions.js';
import { operation, type OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

/** Extents cut off in one transaction. A file of a million is truncated in a few hundred, with others in between. */
const CUT_EXTENTS = 2048;
/** In a batch, which is one transaction: a client that truncates ahead knows that they are few. */
const ALL_EXTENTS = 2 ** 31 - 1;

export const setattr = operation(command, async (begun, request, context) => {
  let tx = begun;
  let inode = await requireInode(tx, request.inode);
  refuse(setattrRefusal(inode, request));
  const acl = await consultedAcl(tx, inode, request.caller);
  refuse(setattrPermissionRefusal(inode, request, acl));
  if (request.size !== undefined) {
    for (;;) {
      inode = await resize(tx, inode, request.size, context);
      if (inode.size === request.size) break;
      // As a local file system does it: a crash in between leaves the file with a size between the two.
      await tx.inodes.update(inode);
      tx = await context.control.pause();
      inode = await requireInode(tx, request.inode);
    }
  }
  const changed = withAttributes(inode, request, context.now);
  await tx.inodes.update(changed);
  if (request.mode !== undefined) await changeAcl(tx, changed);
  if (privilegesLost(inode.mode, request)) await dropCapability(tx, inode.inode);
  return { attributes: attributesOf(changed) };
});

/** Towards the new size; a file with many extents beyond it gets there in several calls. */
async function resize(
  tx: StoreTransaction,
  inode: InodeRecord,
  size: number,
  context: OperationContext,
): Promise<InodeRecord> {
  // POSIX truncate(): the bytes between the old end and a new one read as zeros, which is what a hole does.
  if (freedByResize(inode, size) === 0) return resized(inode, size, 0, context.now);
  const references = new ChunkReferences();
  const most = context.mayPause ? CUT_EXTENTS : ALL_EXTENTS;
  const { freed, end } = await cutTail(tx, inode.inode, size, most, references);
  await references.apply(tx, context.nowMs + context.state.graceMs);
  return resized(inode, end, freed, context.now);
}

/** acl(5): chmod(2) changes the ACL entries that the permission bits stand for. */
async function changeAcl(tx: StoreTransaction, { inode, mode }: InodeRecord): Promise<void> {
  const value = await tx.xattrs.get(inode, ACCESS_ACL);
  const acl = value && decodeAcl(value);
  if (acl) await tx.xattrs.put(inode, ACCESS_ACL, encodeAcl(aclWithMode(acl, mode)));
}
