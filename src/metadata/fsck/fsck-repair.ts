/**
 * Repairs the findings of a check. The check saw an earlier moment: so a wrong count is changed by the difference, which
 * keeps the changes made since, and everything else is looked at once more.
 */
import { isDirectory, ROOT_INODE, S_IFDIR } from '../../protocol/file-mode.js';
import { ChunkReferences } from '../content/chunk-references.js';
import { subdirectoriesIn, touched } from '../../rules/entries.js';
import { createInode } from '../namespace/creation.js';
import { attributesOf } from '../namespace/inodes.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';
import type { Finding } from './finding.js';

const LOST_AND_FOUND = Buffer.from('lost+found');
const LOST_AND_FOUND_MODE = S_IFDIR | 0o700;
const ROOT_USER = 0;

/** Returns whether it is right now; what cannot be put right without losing something is left to a person. */
export async function repairFinding(
  tx: StoreTransaction,
  finding: Finding,
  context: OperationContext,
): Promise<boolean> {
  const { inode: number = 0, delta = 0 } = finding;
  const inode = await tx.inodes.get(number);
  switch (finding.kind) {
    case 'links':
      if (inode) await tx.inodes.update({ ...inode, nlink: inode.nlink + delta, ctime: context.now });
      // It has names, so it is not to be collected.
      if (inode && inode.nlink + delta > 0) await tx.orphans.delete(number);
      return true;
    case 'allocated':
      if (inode) await tx.inodes.update({ ...inode, allocated: Math.max(0, inode.allocated + delta) });
      return true;
    case 'references':
      return await correctReferences(tx, finding.chunk ?? 0, delta, context);
    case 'collection':
      return await correctCollection(tx, finding.chunk ?? 0, context);
    case 'orphan':
      if (inode?.nlink === 0) await tx.orphans.insert(number);
      return true;
    case 'unreachable':
      if (inode) await giveName(tx, inode, context);
      return true;
    case 'dangling':
      return await removeDangling(tx, finding, context);
    case 'directory':
    case 'parent':
      return await correctDirectory(tx, finding, inode, context);
    case 'extent':
      if (inode || finding.chunk !== undefined) return false;
      await tx.garbage.insert(number);
      return true;
    case 'stray':
      if (inode && inode.nlink > 0) await tx.orphans.delete(number);
      if (!inode) await tx.xattrs.deleteAll(number);
      return inode === undefined || isDirectory(inode.mode) || inode.nlink > 0;
    default:
      // Replicas are made again by the repair of replicas; extents name bytes that only a person can judge.
      return false;
  }
}

async function correctReferences(
  tx: StoreTransaction,
  chunk: number,
  delta: number,
  { nowMs, state }: OperationContext,
): Promise<boolean> {
  if (!(await tx.chunks.get(chunk))) return true;
  const references = new ChunkReferences();
  for (let left = Math.abs(delta); left > 0; left -= 1) {
    if (delta > 0) references.add(chunk);
    else references.drop(chunk);
  }
  await references.apply(tx, nowMs + state.graceMs);
  return true;
}

async function correctCollection(
  tx: StoreTransaction,
  chunk: number,
  { nowMs, state }: OperationContext,
): Promise<boolean> {
  const record = await tx.chunks.get(chunk);
  // It may have lost its last reference just now.
  if (record?.references === 0) await tx.doomed.insert(chunk, nowMs + state.graceMs);
  else if (record) await tx.doomed.delete(chunk);
  return true;
}

async function removeDangling(
  tx: StoreTransaction,
  { parent = 0, name }: Finding,
  context: OperationContext,
): Promise<boolean> {
  if (!name) return false;
  const directory = await tx.inodes.get(parent);
  const target = await tx.dentries.get(parent, name);
  if (directory && isDirectory(directory.mode) && target) return true;
  await tx.dentries.delete(parent, name);
  if (directory) await tx.inodes.update(touched(directory, 0, context.now));
  // The name was counted. Was it the only one, the next check finds the inode without a name.
  if (target && !isDirectory(target.mode) && target.nlink > 1) {
    const inode = await tx.inodes.get(target.inode);
    if (inode) await tx.inodes.update({ ...inode, nlink: inode.nlink - 1, ctime: context.now });
  }
  return true;
}

/** A directory has one name, and `..` leads to where that stands. A further name goes; below it is what the other one has. */
async function correctDirectory(
  tx: StoreTransaction,
  { kind, parent = 0, name }: Finding,
  inode: InodeRecord | undefined,
  context: OperationContext,
): Promise<boolean> {
  if (!name || !inode) return false;
  const there = await tx.dentries.get(parent, name);
  // Renamed or removed meanwhile.
  if (there?.inode !== inode.inode) return true;
  if (kind === 'parent') {
    await tx.inodes.update({ ...inode, parent, ctime: context.now });
    return true;
  }
  const directory = await tx.inodes.get(parent);
  if (!directory) return false;
  await tx.dentries.delete(parent, name);
  await tx.inodes.update(touched(directory, -1, context.now));
  return true;
}

/** An inode that nothing leads to is found in /lost+found. */
async function giveName(tx: StoreTransaction, inode: InodeRecord, context: OperationContext): Promise<void> {
  const directory = await lostAndFound(tx, context);
  const name = Buffer.from(`inode-${inode.inode}`);
  if (await tx.dentries.get(directory.inode, name)) return;
  const isSubdirectory = isDirectory(inode.mode);
  await tx.dentries.insert(directory.inode, name, inode.inode);
  await tx.inodes.update(touched(directory, subdirectoriesIn(inode), context.now));
  await tx.inodes.update({
    ...inode,
    nlink: isSubdirectory ? inode.nlink : 1,
    parent: isSubdirectory ? directory.inode : 0,
    ctime: context.now,
  });
}

async function lostAndFound(tx: StoreTransaction, context: OperationContext): Promise<InodeRecord> {
  const existing = await tx.dentries.get(ROOT_INODE, LOST_AND_FOUND);
  if (existing && isDirectory(existing.mode)) return existing;
  const root = await tx.inodes.get(ROOT_INODE);
  if (!root) throw new Error('the root is not there');
  const created = { mode: LOST_AND_FOUND_MODE, uid: ROOT_USER, gid: ROOT_USER, rdev: 0, size: 0 };
  const made = await createInode(tx, root, LOST_AND_FOUND, created, context);
  return { ...made, ...attributesOf(made) };
}
