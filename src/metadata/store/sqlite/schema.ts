/** The database's schema: one list of steps, of which a database has the first `user_version`. */
import type Database from 'better-sqlite3';

/** "DFSm"; file(1) and we ourselves tell our databases by it. */
export const APPLICATION_ID = 0x4446536d;

/**
 * Steps are only ever appended. Tables whose key is not one integer are WITHOUT ROWID, so that the key is the row's
 * place and a range of the key is read in order.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE inodes (
    inode INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    nlink INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    rdev INTEGER NOT NULL,
    size INTEGER NOT NULL,
    allocated INTEGER NOT NULL,
    atime_sec INTEGER NOT NULL,
    atime_nsec INTEGER NOT NULL,
    mtime_sec INTEGER NOT NULL,
    mtime_nsec INTEGER NOT NULL,
    ctime_sec INTEGER NOT NULL,
    ctime_nsec INTEGER NOT NULL,
    version INTEGER NOT NULL,
    goal INTEGER NOT NULL,
    parent INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE symlinks (inode INTEGER PRIMARY KEY, target BLOB NOT NULL) STRICT;
  CREATE TABLE dentries (
    parent INTEGER NOT NULL,
    name BLOB NOT NULL,
    inode INTEGER NOT NULL,
    PRIMARY KEY (parent, name)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE xattrs (
    inode INTEGER NOT NULL,
    name BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (inode, name)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE orphans (inode INTEGER PRIMARY KEY) STRICT;
  CREATE TABLE garbage (inode INTEGER PRIMARY KEY) STRICT;

  CREATE TABLE extents (
    inode INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    chunk_offset INTEGER NOT NULL,
    PRIMARY KEY (inode, offset)
  ) STRICT, WITHOUT ROWID;
  -- nodes: the numbers of the data nodes that hold the chunk, 32-bit little-endian each.
  CREATE TABLE chunks (
    chunk INTEGER PRIMARY KEY,
    length INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    refs INTEGER NOT NULL,
    nodes BLOB NOT NULL
  ) STRICT;
  CREATE TABLE grants (
    chunk INTEGER PRIMARY KEY,
    expires_ms INTEGER NOT NULL,
    nodes BLOB NOT NULL
  ) STRICT;
  CREATE TABLE doomed (chunk INTEGER PRIMARY KEY, due_ms INTEGER NOT NULL) STRICT;
  CREATE INDEX doomed_by_due ON doomed (due_ms);
  CREATE TABLE retired (chunk INTEGER PRIMARY KEY, until_ms INTEGER NOT NULL) STRICT;
  CREATE INDEX retired_by_until ON retired (until_ms);
  CREATE TABLE drops (
    node INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY (node, chunk)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX drops_by_due ON drops (node, due_ms);

  CREATE TABLE sessions (
    session INTEGER PRIMARY KEY,
    secret BLOB NOT NULL,
    client TEXT NOT NULL,
    acknowledged INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE replies (
    session INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    reply BLOB NOT NULL,
    PRIMARY KEY (session, sequence)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE nodes (
    node INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    host TEXT NOT NULL,
    port INTEGER NOT NULL
  ) STRICT;
  `,
  // caches: whether the session keeps what it is told, so that a server that starts again knows whom to wait for.
  'ALTER TABLE sessions ADD COLUMN caches INTEGER NOT NULL DEFAULT 0;',
  // goal of a directory: 0 leaves it to whoever creates files there. chunks.goal: the highest goal of the files that refer
  // to it. nodes.domain: what fails together; nodes.draining: its chunks are to be moved elsewhere.
  `
  UPDATE inodes SET goal = 0 WHERE (mode & 61440) = 16384;
  ALTER TABLE chunks ADD COLUMN goal INTEGER NOT NULL DEFAULT 1;
  UPDATE chunks SET goal = wanted.goal
    FROM (SELECT extents.chunk, max(inodes.goal) AS goal FROM extents JOIN inodes USING (inode) GROUP BY extents.chunk)
      AS wanted
    WHERE wanted.chunk = chunks.chunk;
  ALTER TABLE nodes ADD COLUMN domain TEXT NOT NULL DEFAULT '';
  ALTER TABLE nodes ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;
  `,
  // Files that may be in many small pieces.
  'CREATE TABLE fragmented (inode INTEGER PRIMARY KEY) STRICT;',
  // Members; their certificates, until these expire; and who may become a member.
  `
  CREATE TABLE members (
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    joined_ms INTEGER NOT NULL,
    PRIMARY KEY (role, name)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE certificates (
    serial TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    revoked INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX certificates_by_member ON certificates (role, name);
  ALTER TABLE nodes ADD COLUMN member TEXT NOT NULL DEFAULT '';
  CREATE TABLE tokens (
    id BLOB PRIMARY KEY,
    secret BLOB NOT NULL,
    role TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    once INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  // Which clients may mount what (docs/exports.md). Those of a cluster from before that go on as they did.
  `
  CREATE TABLE exports (
    id INTEGER PRIMARY KEY,
    root INTEGER NOT NULL,
    path BLOB NOT NULL,
    target TEXT NOT NULL,
    read_only INTEGER NOT NULL,
    squash TEXT NOT NULL,
    anon_uid INTEGER NOT NULL,
    anon_gid INTEGER NOT NULL,
    uids TEXT NOT NULL,
    gids TEXT NOT NULL
  ) STRICT;
  INSERT INTO exports SELECT 1, 1, x'', '*', 0, 'none', 65534, 65534, '', '' WHERE EXISTS (SELECT 1 FROM inodes);
  INSERT OR IGNORE INTO counters (name, value) SELECT 'export', 1 WHERE EXISTS (SELECT 1 FROM exports);
  `,
  // Files of which what is synced last may be known to data nodes alone. nodes: as those of chunks.
  `
  CREATE TABLE intent_logs (
    inode INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    log INTEGER NOT NULL,
    done INTEGER NOT NULL,
    version INTEGER NOT NULL,
    nodes BLOB NOT NULL
  ) STRICT;
  `,
];

/** The schema that this program knows. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** What somebody should know whose database had an older schema: from which schema on, and what. */
const NOTES: readonly (readonly [schema: number, note: string])[] = [
  [
    6,
    'clients of other machines may mount all of it as before, as root too; an export says so now, which can be replaced (dfs export list, docs/exports.md)',
  ],
];

/** What the steps from this schema on bring that an administrator should know. */
export function notesOnMigrationFrom(schema: number): string[] {
  return NOTES.filter(([since]) => schema < since).map(([, note]) => note);
}

/** Brings a database from the schema it has to the one this program knows (or to an older one), a step a transaction. */
export function migrate(database: Database.Database, from: number, to = SCHEMA_VERSION): void {
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index < from || index >= to) continue;
    database.transaction(() => {
      database.exec(sql);
      database.pragma(`user_version = ${index + 1}`);
    })();
  }
}
