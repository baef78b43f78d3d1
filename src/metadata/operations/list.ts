/** The classic `list`: every file below a directory. */
import { isDirectory } from '../../protocol/file-mode.js';
import { MAX_FRAME_HEADER_BYTES, MAX_PATH_NAMES } from '../../protocol/limits.js';
import { list as command } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import { attributesOf, requireDirectory } from '../namespace/inodes.js';
import { Access } from '../../rules/permissions.js';
import { checkAccess } from '../namespace/permissions.js';
import { operation } from '../operation.js';
import type { DirectoryEntryRecord, StoreTransaction } from '../store/store.js';

/** Entries read from a directory at a time, and looked at before other requests are let in. */
const PAGE = 256;
const MAX_LOOKED_AT = 4096;
/** A page ends before its paths outgrow a frame. */
const MAX_PATHS_BYTES = MAX_FRAME_HEADER_BYTES / 4;
/** What msgpack puts before a name. */
const NAME_OVERHEAD_BYTES = 3;

const NO_NAME = new Uint8Array();

/** A directory on the way, and how far it was read. */
class Level {
  readonly inode: number;
  /** The last name taken. */
  after: Uint8Array;
  /** Entries read and not taken, the next one last. */
  #ahead: DirectoryEntryRecord[] = [];
  #isReadToEnd = false;

  constructor(inode: number, after: Uint8Array) {
    this.inode = inode;
    this.after = after;
  }

  /** The next entry, or undefined at the end. */
  async peek(tx: StoreTransaction): Promise<DirectoryEntryRecord | undefined> {
    if (this.#ahead.length === 0 && !this.#isReadToEnd) {
      const page = await tx.dentries.after(this.inode, this.after, PAGE);
      this.#isReadToEnd = page.length < PAGE;
      this.#ahead = page.toReversed();
    }
    return this.#ahead.at(-1);
  }

  /** Goes past the entry that peek() returned. */
  take(): void {
    this.after = this.#ahead.pop()?.name ?? this.after;
  }

  /** What was read ahead may not be true any more. */
  forget(): void {
    this.#ahead = [];
    this.#isReadToEnd = false;
  }
}

/**
 * With `recursive`, every entry that is not a directory, depth first in name order; without, every entry of the
 * directory itself, directories too. `after` is a path that was returned before, which need not exist any more.
 */
export const list = operation(command, async (begun, request, context) => {
  let tx = begun;
  const { root, after, limit, recursive, caller } = request;
  await checkAccess(tx, await requireDirectory(tx, root), caller, Access.read | Access.execute);
  const entries: { path: Uint8Array[]; attributes: Attributes }[] = [];
  const levels = await levelsTo(tx, root, after);
  /** The names of all levels but the first, which is the root. */
  const names: Uint8Array[] = after.slice(0, levels.length - 1);
  let lookedAt = 0;
  let pathBytes = 0;
  for (;;) {
    const level = levels.at(-1);
    if (!level) return { entries, end: true };
    if (lookedAt >= MAX_LOOKED_AT) {
      // A tree of empty directories would keep everybody else waiting.
      lookedAt = 0;
      tx = await context.control.pause();
      for (const each of levels) each.forget();
    }
    const entry = await level.peek(tx);
    lookedAt += 1;
    if (!entry) {
      levels.pop();
      names.pop();
      continue;
    }
    const { name, inode } = entry;
    const isListed = !recursive || !isDirectory(inode.mode);
    if (isListed && (entries.length === limit || pathBytes > MAX_PATHS_BYTES)) return { entries, end: false };
    level.take();
    if (isListed) {
      const path = [...names, name];
      for (const each of path) pathBytes += each.length + NAME_OVERHEAD_BYTES;
      entries.push({ path, attributes: attributesOf(inode) });
    } else if (names.length + 1 < MAX_PATH_NAMES) {
      // Deeper down no path could name what is there.
      await checkAccess(tx, inode, caller, Access.read | Access.execute);
      levels.push(new Level(inode.inode, NO_NAME));
      names.push(name);
    }
  }
});

/** The directories along the path to go on after, as far as they still exist, each just after the path's name. */
async function levelsTo(tx: StoreTransaction, root: number, after: readonly Uint8Array[]): Promise<Level[]> {
  const levels: Level[] = [];
  let directory = root;
  for (const [index, name] of after.entries()) {
    levels.push(new Level(directory, name));
    if (index === after.length - 1) return levels;
    const next = await tx.dentries.get(directory, name);
    if (!next || !isDirectory(next.mode)) return levels;
    directory = next.inode;
  }
  return [new Level(root, NO_NAME)];
}
