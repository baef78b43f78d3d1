/** The classic `list`: every file below a directory. */
import { isDirectory } from '../../protocol/file-mode.js';
import { list as command } from '../../protocol/metadata-commands.js';
import type { Attributes } from '../../protocol/types.js';
import { attributesOf, requireDirectory } from '../namespace/inodes.js';
import { operation } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';

/** Entries read from a directory at a time, and looked at before other requests are let in. */
const PAGE = 256;
const MAX_LOOKED_AT = 4096;

/** A directory on the way, and how far it was read. */
interface Level {
  readonly inode: number;
  after: Uint8Array;
}

const NO_NAME = new Uint8Array();

/**
 * With `recursive`, every entry that is not a directory, depth first in name order; without, every entry of the
 * directory itself, directories too. `after` is a path that was returned before, which need not exist any more.
 */
export const list = operation(command, async (begun, request, context) => {
  let tx = begun;
  const { root, after, limit, recursive } = request;
  await requireDirectory(tx, root);
  const entries: { path: Uint8Array[]; attributes: Attributes }[] = [];
  const levels = await levelsTo(tx, root, after);
  /** The names of all levels but the first, which is the root. */
  const names: Uint8Array[] = after.slice(0, levels.length - 1);
  let lookedAt = 0;
  for (;;) {
    const level = levels.at(-1);
    if (!level) return { entries, end: true };
    const page = await tx.dentries.after(level.inode, level.after, PAGE);
    let descended = false;
    for (const { name, inode } of page) {
      const isListed = !recursive || !isDirectory(inode.mode);
      if (isListed && entries.length === limit) return { entries, end: false };
      level.after = name;
      lookedAt += 1;
      if (isListed) {
        entries.push({ path: [...names, name], attributes: attributesOf(inode) });
        continue;
      }
      levels.push({ inode: inode.inode, after: NO_NAME });
      names.push(name);
      descended = true;
      break;
    }
    if (!descended && page.length < PAGE) {
      levels.pop();
      names.pop();
    }
    if (lookedAt >= MAX_LOOKED_AT) {
      // A tree of empty directories would keep everybody else waiting.
      lookedAt = 0;
      tx = await context.control.pause();
    }
  }
});

/** The directories along the path to go on after, as far as they still exist, each just after the path's name. */
async function levelsTo(tx: StoreTransaction, root: number, after: readonly Uint8Array[]): Promise<Level[]> {
  const levels: Level[] = [{ inode: root, after: NO_NAME }];
  let directory = root;
  for (const [index, name] of after.entries()) {
    const level = levels.at(-1);
    if (level) level.after = name;
    if (index === after.length - 1) break;
    const next = await tx.dentries.get(directory, name);
    if (!next || !isDirectory(next.mode)) break;
    directory = next.inode;
    levels.push({ inode: directory, after: NO_NAME });
  }
  return levels;
}
