/** Which files of a restored backup have lost bytes: chunks that were deleted since, or are on nodes that are gone. */
import type Database from 'better-sqlite3';
import { ROOT_INODE } from '../../protocol/file-mode.js';
import type { SqliteTransaction } from '../store/sqlite/sqlite-store.js';
import type { FoundChunks } from './found-chunks.js';

const CHUNKS_AT_ONCE = 1000;
const SHOWN_FILES = 20;
const MAX_DEPTH = 4096;

export interface LostFiles {
  readonly chunks: number;
  readonly files: number;
  /** Of the first of them. */
  readonly paths: readonly string[];
}

/**
 * Sets on record who holds which chunk: the asked nodes those that they showed, the others what the backup says.
 * Commits by itself, some at a time. Returns what nobody holds.
 */
export function settleHolders(
  database: Database.Database,
  tx: SqliteTransaction,
  found: FoundChunks,
  asked: ReadonlySet<number>,
): LostFiles {
  database.exec('CREATE TEMP TABLE lost (chunk INTEGER PRIMARY KEY)');
  const lose = database.prepare('INSERT INTO lost VALUES (?)');
  let lost = 0;
  for (let after = 0; ;) {
    const chunks = tx.chunks.after(after, CHUNKS_AT_ONCE);
    const last = chunks.at(-1);
    if (!last) break;
    tx.begin();
    for (const { chunk, nodes, references } of chunks) {
      const others = nodes.filter(node => !asked.has(node));
      const held = [...others, ...found.holdersOf(chunk)];
      if (held.join() !== nodes.join()) tx.chunks.setNodes(chunk, held);
      if (held.length > 0 || references === 0) continue;
      lose.run(chunk);
      lost += 1;
    }
    tx.commit();
    after = last.chunk;
  }
  if (lost === 0) return { chunks: 0, files: 0, paths: [] };
  const affected = 'FROM (SELECT DISTINCT inode FROM extents WHERE chunk IN (SELECT chunk FROM lost))';
  const files = database.prepare<[], number>(`SELECT count(*) ${affected}`).pluck().get() ?? 0;
  const inodes = database
    .prepare<[number], number>(`SELECT inode ${affected} ORDER BY inode LIMIT ?`)
    .pluck()
    .all(SHOWN_FILES);
  return { chunks: lost, files, paths: inodes.map(inode => pathOf(database, inode)) };
}

/** One path of a file. */
function pathOf(database: Database.Database, inode: number): string {
  const named = database.prepare<[number], { parent: number; name: Buffer }>(
    'SELECT parent, name FROM dentries WHERE inode = ? LIMIT 1',
  );
  const names: string[] = [];
  for (let at = inode; at !== ROOT_INODE && names.length < MAX_DEPTH;) {
    const entry = named.get(at);
    if (!entry) return `inode ${inode}, which has no name`;
    names.unshift(entry.name.toString());
    at = entry.parent;
  }
  return `/${names.join('/')}`;
}
