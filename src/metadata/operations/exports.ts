/** Decides which clients of other machines may mount what. */
import {
  addExport as addCommand,
  listExports as listCommand,
  removeExport as removeCommand,
  type ExportRule,
} from '../../protocol/export-commands.js';
import { DfsError } from '../../protocol/errors.js';
import { ROOT_INODE } from '../../protocol/file-mode.js';
import { MAX_EXPORTS } from '../../protocol/limits.js';
import { directoryAt } from '../exports/exports.js';
import { parseTarget } from '../exports/export-target.js';
import { operation, type OperationContext } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';

export const addExport = operation(addCommand, async (tx, request, context) => {
  const { path, target, readOnly, squash, anonUid, anonGid, uids, gids } = request;
  parseTarget(target);
  const root = await directoryAt(tx, path);
  const rules = await tx.exports.all();
  if (rules.length >= MAX_EXPORTS)
    throw new DfsError('ENOSPC', `there are ${MAX_EXPORTS} exports; remove some`);
  const same = rules.find(each => each.root === root && each.target === target);
  if (same) {
    throw new DfsError(
      'EEXIST',
      `export ${same.id} is for the same directory and ${target}; remove it first: dfs export remove ${same.id}`,
    );
  }
  const id = (await tx.counters.get('export')) + 1;
  await tx.counters.set('export', id);
  const rule: ExportRule = { id, root, path, target, readOnly, squash, anonUid, anonGid, uids, gids };
  if (root !== ROOT_INODE) await tx.dentries.indexByInode();
  await tx.exports.insert(rule);
  await changed(tx, rules, context);
  return { id };
});

export const listExports = operation(listCommand, async tx => ({ exports: await tx.exports.all() }));

export const removeExport = operation(removeCommand, async (tx, { id }, context) => {
  const rules = await tx.exports.all();
  if ((await tx.exports.delete(id)) === 0)
    throw new DfsError('ENOENT', `there is no export ${id}; dfs export list shows those there are`);
  await changed(tx, rules, context);
  return {};
});

/** The rules count from now on, unless the transaction fails. */
async function changed(
  tx: StoreTransaction,
  before: readonly ExportRule[],
  { state, control }: OperationContext,
): Promise<void> {
  control.requireDurable();
  control.onRollback(() => state.exports.setRules(before));
  state.exports.setRules(await tx.exports.all());
}
