/**
 * `user.dfs.goal`: the number of replicas of a file, or of files created in a directory, as an extended
 * attribute that is not stored as one. It is not listed, so that `cp -a`, `rsync -X` and `tar --xattrs` do not carry it
 * about: a file that is copied into a directory gets that directory's goal.
 */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory, isRegularFile } from '../../protocol/file-mode.js';
import { GOAL_ATTRIBUTE, GOAL_OF_CREATOR, MAX_GOAL } from '../../protocol/limits.js';
import type { Caller } from '../../protocol/types.js';
import { setFileGoal } from '../content/chunk-goal.js';
import { ownerRefusal } from '../../rules/permissions.js';
import { refuse } from '../../rules/refusal.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

const NAME = Buffer.from(GOAL_ATTRIBUTE);

export function isGoalAttribute(name: Uint8Array): boolean {
  return NAME.equals(name);
}

/** ENODATA for a directory that leaves it to whoever creates a file, and for what has no content. */
export function goalValue(inode: InodeRecord): Buffer {
  if (!hasGoal(inode) || inode.goal === GOAL_OF_CREATOR) {
    throw new DfsError('ENODATA', `inode ${inode.inode} has no goal of its own`);
  }
  return Buffer.from(String(inode.goal));
}

/** EINVAL for what is no goal, EOPNOTSUPP for what has no content, EPERM for who is not the owner. */
export async function setGoal(
  tx: StoreTransaction,
  inode: InodeRecord,
  value: Uint8Array,
  caller: Caller | undefined,
  context: OperationContext,
): Promise<void> {
  checkChangeable(inode, caller);
  const text = Buffer.from(value).toString('latin1');
  const goal = Number(text);
  if (!/^[1-9]$/.test(text) || goal > MAX_GOAL) {
    throw new DfsError('EINVAL', `a goal is a whole number from 1 to ${MAX_GOAL}`);
  }
  if (isDirectory(inode.mode)) await tx.inodes.update({ ...inode, goal, ctime: context.now });
  else await setFileGoal(tx, inode, goal, context);
}

/** A directory leaves the goal to whoever creates a file in it. EINVAL for a file, which always has one. */
export async function removeGoal(
  tx: StoreTransaction,
  inode: InodeRecord,
  caller: Caller | undefined,
  { now }: OperationContext,
): Promise<void> {
  checkChangeable(inode, caller);
  if (!isDirectory(inode.mode)) throw new DfsError('EINVAL', 'a file always has a goal; set another one');
  goalValue(inode);
  await tx.inodes.update({ ...inode, goal: GOAL_OF_CREATOR, ctime: now });
}

function hasGoal({ mode }: InodeRecord): boolean {
  return isDirectory(mode) || isRegularFile(mode);
}

function checkChangeable(inode: InodeRecord, caller: Caller | undefined): void {
  if (!hasGoal(inode)) throw new DfsError('EOPNOTSUPP', 'only files and directories have a goal');
  refuse(ownerRefusal(inode, caller));
}
