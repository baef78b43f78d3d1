/**
 * The requests that make rows: they fail with ENOSPC while the metadata database's disk has little room. Reading,
 * deleting, renaming and changing existing inodes goes on (store/sqlite/database-room.ts keeps the room for it), and
 * so do commits of acknowledged changes.
 */
import { blocks, clone, put } from '../protocol/content-commands.js';
import { DfsError } from '../protocol/errors.js';
import { link, mkdir, mknod, setxattr, symlink, tmpfile } from '../protocol/namespace-commands.js';
import type { StoreRoom } from './store/store.js';

const MAKING: ReadonlySet<number> = new Set(
  [put, mknod, mkdir, symlink, link, tmpfile, setxattr, blocks, clone].map(({ number }) => number),
);

/** ENOSPC for a request that needs room while there is little. */
export function requireRoom(command: { readonly number: number }, request: object, room: StoreRoom): void {
  if (!room.isShort || !MAKING.has(command.number)) return;
  if ('acknowledged' in request && request.acknowledged === true) return;
  throw new DfsError(
    'ENOSPC',
    'the disk of the metadata server is nearly full; delete files, or make room on that disk',
  );
}
