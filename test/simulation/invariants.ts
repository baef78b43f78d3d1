/** What holds of a metadata database whatever has happened. */
import Database from 'better-sqlite3';
import { BrokenPromise } from './history.js';

/** Queries that find nothing in a sound database. */
const INVARIANTS: readonly { readonly what: string; readonly sql: string }[] = [
  {
    what: 'a name leads to an inode that is not there',
    sql: 'SELECT d.parent, d.inode FROM dentries d LEFT JOIN inodes i USING (inode) WHERE i.inode IS NULL',
  },
  {
    what: 'a name is in a directory that is not there',
    sql: 'SELECT d.parent FROM dentries d LEFT JOIN inodes i ON i.inode = d.parent WHERE i.inode IS NULL',
  },
  {
    what: 'a file has another number of links than names',
    sql: `SELECT i.inode, i.nlink, (SELECT count(*) FROM dentries d WHERE d.inode = i.inode) AS names
          FROM inodes i WHERE (i.mode & 61440) <> 16384 AND nlink <> names`,
  },
  {
    what: 'a directory has another number of links than subdirectories and two',
    sql: `SELECT i.inode, i.nlink,
            2 + (SELECT count(*) FROM dentries d JOIN inodes c USING (inode)
                 WHERE d.parent = i.inode AND (c.mode & 61440) = 16384) AS links
          FROM inodes i WHERE (i.mode & 61440) = 16384 AND nlink > 0 AND nlink <> links`,
  },
  {
    what: 'an inode without a name is not among those to be collected',
    sql: `SELECT inode FROM inodes WHERE nlink = 0 AND inode NOT IN (SELECT inode FROM orphans)
          AND inode NOT IN (SELECT inode FROM garbage)`,
  },
  {
    what: 'an extent of an inode that is not there',
    sql: `SELECT e.inode, e.offset FROM extents e WHERE e.inode NOT IN (SELECT inode FROM inodes)
          AND e.inode NOT IN (SELECT inode FROM garbage)`,
  },
  {
    what: 'an extent of a chunk that is not there, or shorter',
    sql: `SELECT e.inode, e.offset, e.chunk FROM extents e LEFT JOIN chunks c USING (chunk)
          WHERE c.chunk IS NULL OR e.chunk_offset + e.length > c.length`,
  },
  {
    what: 'two extents of a file overlap',
    sql: `SELECT a.inode, a.offset, b.offset FROM extents a JOIN extents b
          ON b.inode = a.inode AND b.offset > a.offset AND b.offset < a.offset + a.length`,
  },
  {
    what: 'an extent behind the end of its file',
    sql: `SELECT e.inode, e.offset, i.size FROM extents e JOIN inodes i USING (inode)
          WHERE e.offset + e.length > i.size AND i.nlink > 0`,
  },
  {
    what: 'a chunk has another number of references than extents',
    sql: `SELECT c.chunk, c.refs, (SELECT count(*) FROM extents e WHERE e.chunk = c.chunk) AS extents
          FROM chunks c WHERE refs <> extents`,
  },
  {
    what: 'a chunk without references is not doomed',
    sql: 'SELECT chunk FROM chunks WHERE refs = 0 AND chunk NOT IN (SELECT chunk FROM doomed)',
  },
  {
    what: 'a chunk with references is doomed or retired',
    sql: `SELECT chunk FROM chunks WHERE refs > 0 AND
          (chunk IN (SELECT chunk FROM doomed) OR chunk IN (SELECT chunk FROM retired))`,
  },
  {
    what: 'a node is told to drop a chunk that counts on it',
    sql: `SELECT d.node, d.chunk FROM drops d JOIN chunks c USING (chunk)
          WHERE c.refs > 0 AND instr(hex(c.nodes), printf('%02X000000', d.node)) > 0`,
  },
];

/** Holds unless a node lost what it had not synced, or its disk was damaged. */
const NOTHING_IS_LOST = {
  what: 'a chunk has no node',
  sql: 'SELECT chunk FROM chunks WHERE length(nodes) = 0',
};

/**
 * Throws a BrokenPromise when the database is not sound.
 * @param mayHaveLostChunks whether data nodes may have lost chunks that nobody had fsynced
 */
export function checkInvariants(image: Buffer, mayHaveLostChunks: boolean): void {
  const database = new Database(image);
  try {
    for (const { what, sql } of mayHaveLostChunks ? INVARIANTS : [...INVARIANTS, NOTHING_IS_LOST]) {
      const row: unknown = database.prepare(sql).get();
      if (row !== undefined) throw new BrokenPromise(`${what}: ${JSON.stringify(row)}`);
    }
  } finally {
    database.close();
  }
}
