/**
 * The thread that checks the database's invariants, on a connection of its own and in one read transaction: it sees one
 * moment, whatever changes meanwhile, and stops no transaction.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { Finding, FindingKind } from '../../fsck/finding.js';
import { ROOT_INODE } from '../../../protocol/file-mode.js';
import { DAMAGE_ADVICE, damageText, isDamage } from './sqlite-errors.js';
import type { FsckAnswer, FsckRequest, FsckWorkerData } from './fsck-protocol.js';

const port = parentPort;
if (!port) throw new Error('fsck-thread.js runs as a worker thread only');

/** S_IFMT, S_IFDIR and S_IFREG, for SQL. */
const TYPE = '(inodes.mode & 61440)';
const DIRECTORY = 16_384;
const SYMLINK = 40_960;
/** Directories' names: in place 1 the one that stands where `..` leads, if there is one; there should be no other. */
const DIRECTORY_NAMES = `SELECT names.inode, names.parent, names.name, inodes.parent AS up,
    row_number() OVER (PARTITION BY names.inode ORDER BY names.parent <> inodes.parent, names.parent, names.name) AS place
  FROM names JOIN inodes USING (inode) WHERE ${TYPE} = ${DIRECTORY}`;
const MAX_DEPTH = 2048;
const PATHS_PER_CHUNK = 8;
const MAX_DAMAGE = 10;

const { path, maxFindings } = workerData as FsckWorkerData;
const database = new Database(path, { readonly: true, fileMustExist: true });
database.pragma('temp_store = FILE');
database.exec('BEGIN');

interface Row {
  readonly inode?: number;
  readonly chunk?: number;
  readonly parent?: number;
  readonly name?: Buffer;
  readonly delta?: number;
  readonly what: string;
}

interface Check {
  readonly kind: FindingKind;
  /** Selects the columns of Row. */
  readonly sql: string;
}

const CHECKS: readonly Check[] = [
  {
    kind: 'dangling',
    sql: `SELECT names.parent, names.name, 'leads to inode ' || names.inode || ', which is not there' AS what
      FROM names LEFT JOIN inodes USING (inode) WHERE inodes.inode IS NULL`,
  },
  {
    kind: 'links',
    sql: `SELECT inode, found - nlink AS delta, 'has ' || found || ' names, but counts ' || nlink AS what FROM (
        SELECT inodes.inode, nlink, (SELECT count(*) FROM names WHERE names.inode = inodes.inode) AS found
        FROM inodes WHERE ${TYPE} <> ${DIRECTORY})
      WHERE found <> nlink AND found > 0`,
  },
  {
    kind: 'links',
    sql: `SELECT inodes.inode, 2 + coalesce(found, 0) - nlink AS delta,
        'has ' || coalesce(found, 0) || ' subdirectories, but counts ' || (nlink - 2) AS what
      FROM inodes LEFT JOIN (
        SELECT names.parent, count(*) AS found FROM names JOIN inodes USING (inode)
        WHERE ${TYPE} = ${DIRECTORY} GROUP BY names.parent) AS children ON children.parent = inodes.inode
      WHERE ${TYPE} = ${DIRECTORY} AND nlink <> 2 + coalesce(found, 0)
        AND (nlink > 0 OR EXISTS (SELECT 1 FROM names WHERE names.inode = inodes.inode))`,
  },
  {
    kind: 'unreachable',
    sql: `SELECT inode, 'has no name, but counts ' || nlink || ' links' AS what FROM inodes
      WHERE nlink > 0 AND inode <> ${ROOT_INODE} AND NOT EXISTS (SELECT 1 FROM names WHERE names.inode = inodes.inode)`,
  },
  {
    kind: 'directory',
    sql: `SELECT inode, parent, name, 'is a further name of a directory' AS what FROM (${DIRECTORY_NAMES}) WHERE place > 1`,
  },
  {
    kind: 'parent',
    sql: `SELECT inode, parent, name, 'has .. leading to inode ' || up AS what FROM (${DIRECTORY_NAMES})
      WHERE place = 1 AND up <> parent`,
  },
  {
    kind: 'orphan',
    sql: `SELECT inode, 'has no links, and is not noted for collection' AS what FROM inodes
      WHERE nlink = 0 AND inode NOT IN (SELECT inode FROM orphans) AND inode NOT IN (SELECT inode FROM garbage)
        AND NOT EXISTS (SELECT 1 FROM names WHERE names.inode = inodes.inode)`,
  },
  {
    kind: 'stray',
    sql: `SELECT orphans.inode, 'is noted for collection, but has names' AS what FROM orphans JOIN inodes USING (inode)
      WHERE nlink > 0`,
  },
  {
    kind: 'stray',
    sql: `SELECT DISTINCT inode, 'is not there, but has extended attributes' AS what FROM xattrs
      WHERE inode NOT IN (SELECT inode FROM inodes)`,
  },
  {
    kind: 'stray',
    sql: `SELECT inode, 'is a symbolic link without a target' AS what FROM inodes
      WHERE ${TYPE} = ${SYMLINK} AND inode NOT IN (SELECT inode FROM symlinks)`,
  },
  {
    kind: 'extent',
    sql: `SELECT DISTINCT inode, 'is not there, but has extents' AS what FROM extents
      WHERE inode NOT IN (SELECT inode FROM inodes) AND inode NOT IN (SELECT inode FROM garbage)`,
  },
  {
    kind: 'extent',
    sql: `SELECT inode, chunk, 'has an extent at ' || offset || ' of a chunk that is not on record' AS what FROM extents
      WHERE chunk NOT IN (SELECT chunk FROM chunks)`,
  },
  {
    kind: 'extent',
    sql: `SELECT inode, extents.chunk, 'has an extent at ' || offset || ' that ends beyond its chunk' AS what
      FROM extents JOIN chunks USING (chunk) WHERE extents.chunk_offset + extents.length > chunks.length`,
  },
  {
    kind: 'extent',
    sql: `SELECT inode, 'has an extent at ' || offset || ' that ends beyond the file' AS what
      FROM extents JOIN inodes USING (inode) WHERE extents.offset + extents.length > inodes.size AND nlink > 0`,
  },
  {
    kind: 'extent',
    sql: `SELECT inode, 'has overlapping extents at ' || offset AS what FROM (
        SELECT inode, offset, length, lead(offset) OVER (PARTITION BY inode ORDER BY offset) AS following FROM extents)
      WHERE following < offset + length`,
  },
  {
    kind: 'allocated',
    sql: `SELECT inodes.inode, coalesce(found, 0) - allocated AS delta,
        'has ' || coalesce(found, 0) || ' bytes in extents, but counts ' || allocated AS what
      FROM inodes LEFT JOIN (SELECT inode, sum(length) AS found FROM extents GROUP BY inode) AS sums USING (inode)
      WHERE allocated <> coalesce(found, 0)`,
  },
  {
    kind: 'references',
    sql: `SELECT chunks.chunk, coalesce(found, 0) - refs AS delta,
        'is in ' || coalesce(found, 0) || ' extents, but counts ' || refs AS what
      FROM chunks LEFT JOIN (SELECT chunk, count(*) AS found FROM extents GROUP BY chunk) AS counts USING (chunk)
      WHERE refs <> coalesce(found, 0)`,
  },
  {
    kind: 'collection',
    sql: `SELECT chunk, 'is in no extent, and is not noted for collection' AS what FROM chunks
      WHERE refs = 0 AND chunk NOT IN (SELECT chunk FROM doomed)`,
  },
  {
    kind: 'collection',
    sql: `SELECT chunk, 'is noted for collection, but is in extents' AS what FROM doomed JOIN chunks USING (chunk)
      WHERE refs > 0`,
  },
  // Last, so that link counts are right before its repair takes such a name off them.
  {
    kind: 'dangling',
    sql: `SELECT names.parent, names.name, 'stands in inode ' || names.parent || ', which is no directory' AS what
      FROM names LEFT JOIN inodes ON inodes.inode = names.parent
      WHERE inodes.inode IS NULL OR ${TYPE} <> ${DIRECTORY}`,
  },
];

let nameOf: Database.Statement<[number], { parent: number; name: Buffer }> | undefined;

/** A path of the inode, or what there is of it. */
function pathOf(inode: number): string {
  const names: string[] = [];
  for (let at = inode, depth = 0; at !== ROOT_INODE; depth += 1) {
    const found = depth < MAX_DEPTH ? nameOf?.get(at) : undefined;
    if (!found) return `(inode ${at})${names.length > 0 ? `/${names.join('/')}` : ''}`;
    names.unshift(found.name.toString('latin1'));
    at = found.parent;
  }
  return `/${names.join('/')}`;
}

function place({ inode, chunk, parent, name }: Row): string {
  if (parent !== undefined && name) return `${pathOf(parent)}/${name.toString('latin1')}`.replace('//', '/');
  if (inode !== undefined) return pathOf(inode);
  return chunk === undefined ? '' : (pathsOf([chunk]).get(chunk)?.[0] ?? `(chunk ${chunk})`);
}

/** What SQLite finds wrong with its file. Some damage it cannot even go on after. */
function damage(): Finding[] {
  let found: string[] = [];
  try {
    const rows = database.pragma(`integrity_check(${MAX_DAMAGE})`) as { integrity_check: string }[];
    found = rows.map(row => row.integrity_check).filter(text => text !== 'ok');
  } catch (error) {
    if (!isDamage(error)) throw error;
    found = [error instanceof Error ? error.message : String(error)];
  }
  return found.map(text => ({
    kind: 'database',
    path: '(the metadata database)',
    what: `is damaged: ${damageText(text)}; ${DAMAGE_ADVICE}`,
  }));
}

function check(): FsckAnswer {
  const findings: Finding[] = damage();
  // What a damaged database says of itself is not to be believed, and less to be repaired by.
  if (findings.length > 0) return { findings, count: findings.length };
  database.exec(`
    CREATE TEMP TABLE names AS SELECT inode, parent, name FROM dentries;
    CREATE INDEX temp.names_by_inode ON names (inode);
  `);
  nameOf = database.prepare('SELECT parent, name FROM names WHERE inode = ? LIMIT 1');
  let count = 0;
  for (const { kind, sql } of CHECKS) {
    for (const row of database.prepare<[], Row>(sql).iterate()) {
      count += 1;
      if (findings.length < maxFindings) findings.push({ kind, path: place(row), ...row });
    }
  }
  return { findings, count };
}

function pathsOf(chunks: readonly number[]): Map<number, string[]> {
  const paths = new Map<number, string[]>();
  const wanted = JSON.stringify(chunks);
  const rows = database
    .prepare<[string], { chunk: number; inode: number }>(
      'SELECT DISTINCT chunk, inode FROM extents WHERE chunk IN (SELECT value FROM json_each(?))',
    )
    .all(wanted);
  for (const { chunk, inode } of rows) {
    const known = paths.get(chunk) ?? [];
    if (known.length < PATHS_PER_CHUNK) known.push(pathOf(inode));
    paths.set(chunk, known);
  }
  return paths;
}

port.on('message', (request: FsckRequest) => {
  if (request === 'close') {
    database.close();
    port.close();
    return;
  }
  try {
    port.postMessage(request === 'check' ? check() : { paths: pathsOf(request.chunks) });
  } catch (error) {
    port.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
