/** Inodes, names, symbolic links and extended attributes in SQLite. */
import type {
  DentryTable,
  DirectoryEntryRecord,
  InodeRecord,
  InodeSet,
  InodeTable,
  PackedNamesRecord,
  SymlinkTable,
  XattrTable,
} from '../store.js';
import { S_IFDIR, S_IFMT, TYPE_SHIFT } from '../../../protocol/file-mode.js';
import { FIRST_TYPE } from '../../../protocol/packed-names.js';
import type { SqliteConnection } from './connection.js';

/** In the order of INODE_COLUMNS. */
type InodeRow = readonly [
  inode: number,
  generation: number,
  mode: number,
  nlink: number,
  uid: number,
  gid: number,
  rdev: number,
  size: number,
  allocated: number,
  atimeSec: number,
  atimeNsec: number,
  mtimeSec: number,
  mtimeNsec: number,
  ctimeSec: number,
  ctimeNsec: number,
  version: number,
  goal: number,
  parent: number,
];

const INODE_COLUMNS = [
  'inode',
  'generation',
  'mode',
  'nlink',
  'uid',
  'gid',
  'rdev',
  'size',
  'allocated',
  'atime_sec',
  'atime_nsec',
  'mtime_sec',
  'mtime_nsec',
  'ctime_sec',
  'ctime_nsec',
  'version',
  'goal',
  'parent',
] as const;

const NO_NAMES = Buffer.alloc(0);

type NamedInodeRow = readonly [...InodeRow, name: Buffer];

function toRecord(row: InodeRow | NamedInodeRow): InodeRecord {
  return {
    inode: row[0],
    generation: row[1],
    mode: row[2],
    nlink: row[3],
    uid: row[4],
    gid: row[5],
    rdev: row[6],
    size: row[7],
    allocated: row[8],
    atime: { sec: row[9], nsec: row[10] },
    mtime: { sec: row[11], nsec: row[12] },
    ctime: { sec: row[13], nsec: row[14] },
    version: row[15],
    goal: row[16],
    parent: row[17],
  };
}

function toRow(record: InodeRecord): InodeRow {
  const { atime, mtime, ctime } = record;
  return [
    record.inode,
    record.generation,
    record.mode,
    record.nlink,
    record.uid,
    record.gid,
    record.rdev,
    record.size,
    record.allocated,
    atime.sec,
    atime.nsec,
    mtime.sec,
    mtime.nsec,
    ctime.sec,
    ctime.nsec,
    record.version,
    record.goal,
    record.parent,
  ];
}

/** The name of the persistent count of inodes among the counters. */
const INODE_COUNT = 'inodes';

export class SqliteInodes implements InodeTable {
  readonly #select;
  readonly #insert;
  readonly #update;
  readonly #delete;
  readonly #saveCount;
  readonly #loadCount;
  /** What is in the database, as of the last commit. */
  #committedCount: number;
  #count: number;

  constructor(connection: SqliteConnection) {
    const columns = INODE_COLUMNS.join(', ');
    this.#select = connection.row<InodeRow>(`SELECT ${columns} FROM inodes WHERE inode = ?`);
    this.#insert = connection.change(
      `INSERT INTO inodes (${columns}) VALUES (${INODE_COLUMNS.map(() => '?').join(', ')})`,
    );
    this.#update = connection.change(
      `UPDATE inodes SET ${INODE_COLUMNS.map(column => `${column} = ?`).join(', ')} WHERE inode = ?`,
    );
    this.#delete = connection.change('DELETE FROM inodes WHERE inode = ?');
    this.#saveCount = connection.change('INSERT OR REPLACE INTO counters (name, value) VALUES (?, ?)');
    this.#loadCount = connection.row<[number]>('SELECT value FROM counters WHERE name = ?');
    this.#committedCount = this.#loadCount(INODE_COUNT)?.[0] ?? 0;
    this.#count = this.#committedCount;
  }

  get(inode: number): InodeRecord | undefined {
    const row = this.#select(inode);
    return row && toRecord(row);
  }

  insert(record: InodeRecord): void {
    this.#insert(...toRow(record));
    this.#count += 1;
  }

  update(record: InodeRecord): void {
    this.#update(...toRow(record), record.inode);
  }

  delete(inode: number): void {
    this.#count -= this.#delete(inode);
  }

  count(): number {
    return this.#count;
  }

  /** Before a commit: a transaction of many creations writes the count once. */
  saveCount(): void {
    if (this.#count === this.#committedCount) return;
    this.#saveCount(INODE_COUNT, this.#count);
  }

  committed(): void {
    this.#committedCount = this.#count;
  }

  rolledBack(): void {
    this.#count = this.#committedCount;
  }
}

export class SqliteSymlinks implements SymlinkTable {
  readonly #select;
  readonly insert: (inode: number, target: Uint8Array) => void;
  readonly delete: (inode: number) => void;

  constructor(connection: SqliteConnection) {
    this.#select = connection.row<[Buffer]>('SELECT target FROM symlinks WHERE inode = ?');
    this.insert = connection.change('INSERT INTO symlinks (inode, target) VALUES (?, ?)');
    this.delete = connection.change('DELETE FROM symlinks WHERE inode = ?');
  }

  get(inode: number): Buffer | undefined {
    return this.#select(inode)?.[0];
  }
}

export class SqliteDentries implements DentryTable {
  readonly #select;
  readonly #page;
  readonly #names;
  readonly #directoriesAfter;
  readonly #first;
  readonly #directories;
  readonly #index;
  readonly insert: (parent: number, name: Uint8Array, inode: number) => void;
  readonly #update;
  readonly delete: (parent: number, name: Uint8Array) => void;

  constructor(connection: SqliteConnection) {
    const columns = INODE_COLUMNS.map(column => `i.${column}`).join(', ');
    this.#select = connection.row<InodeRow>(
      `SELECT ${columns} FROM dentries d CROSS JOIN inodes i ON i.inode = d.inode
       WHERE d.parent = ? AND d.name = ?`,
    );
    this.#page = connection.rows<NamedInodeRow>(
      `SELECT ${columns}, d.name FROM dentries d CROSS JOIN inodes i ON i.inode = d.inode
       WHERE d.parent = ? AND d.name > ? ORDER BY d.name LIMIT ?`,
    );
    const isDirectory = `(i.mode & ${S_IFMT}) = ${S_IFDIR}`;
    // As text, names are joined byte for byte: nothing looks whether they are UTF-8.
    this.#names = connection.row<[Buffer | null, number, number]>(
      `SELECT CAST(group_concat(entry, '') AS BLOB), count(*), total(is_directory) FROM (
         SELECT d.name || '/' || char(${FIRST_TYPE} + (i.mode >> ${TYPE_SHIFT})) || d.inode || '/' AS entry,
                ${isDirectory} AS is_directory
         FROM dentries d CROSS JOIN inodes i ON i.inode = d.inode
         WHERE d.parent = ? AND d.name > ? ORDER BY d.name LIMIT ?)`,
    );
    this.#directoriesAfter = connection.rows<InodeRow>(
      `SELECT ${columns} FROM dentries d CROSS JOIN inodes i ON i.inode = d.inode
       WHERE d.parent = ? AND d.name > ? AND ${isDirectory} ORDER BY d.name LIMIT ?`,
    );
    this.#first = connection.row<[number]>('SELECT inode FROM dentries WHERE parent = ? LIMIT 1');
    this.#directories = connection.rows<[number]>(
      'SELECT DISTINCT parent FROM dentries WHERE inode = ? LIMIT ?',
    );
    this.#index = connection.change('CREATE INDEX IF NOT EXISTS dentries_by_inode ON dentries (inode)');
    this.insert = connection.change('INSERT INTO dentries (parent, name, inode) VALUES (?, ?, ?)');
    this.#update = connection.change('UPDATE dentries SET inode = ? WHERE parent = ? AND name = ?');
    this.delete = connection.change('DELETE FROM dentries WHERE parent = ? AND name = ?');
  }

  get(parent: number, name: Uint8Array): InodeRecord | undefined {
    const row = this.#select(parent, name);
    return row && toRecord(row);
  }

  after(parent: number, after: Uint8Array, limit: number): DirectoryEntryRecord[] {
    return this.#page(parent, after, limit).map(row => ({ name: row[18], inode: toRecord(row) }));
  }

  namesAfter(parent: number, after: Uint8Array, limit: number): PackedNamesRecord {
    const [packed, count, directories] = this.#names(parent, after, limit) ?? [null, 0, 0];
    return { packed: packed ?? NO_NAMES, count, directories };
  }

  directoriesAfter(parent: number, after: Uint8Array, limit: number): InodeRecord[] {
    return this.#directoriesAfter(parent, after, limit).map(toRecord);
  }

  directoriesOf(inode: number, limit: number): number[] {
    return this.#directories(inode, limit).map(([parent]) => parent);
  }

  indexByInode(): void {
    this.#index();
  }

  isEmpty(parent: number): boolean {
    return this.#first(parent) === undefined;
  }

  update(parent: number, name: Uint8Array, inode: number): void {
    this.#update(inode, parent, name);
  }
}

export class SqliteXattrs implements XattrTable {
  readonly #select;
  readonly #names;
  readonly #among;
  readonly put: (inode: number, name: Uint8Array, value: Uint8Array) => void;
  readonly delete: (inode: number, name: Uint8Array) => void;
  readonly deleteAll: (inode: number) => void;

  constructor(connection: SqliteConnection) {
    this.#select = connection.row<[Buffer]>('SELECT value FROM xattrs WHERE inode = ? AND name = ?');
    this.#names = connection.rows<[Buffer]>('SELECT name FROM xattrs WHERE inode = ? ORDER BY name');
    this.#among = connection.rows<[number]>(
      `SELECT DISTINCT d.inode FROM dentries d CROSS JOIN xattrs x ON x.inode = d.inode
       WHERE d.parent = ? AND d.name > ? AND d.name <= ?`,
    );
    this.put = connection.change('INSERT OR REPLACE INTO xattrs (inode, name, value) VALUES (?, ?, ?)');
    this.delete = connection.change('DELETE FROM xattrs WHERE inode = ? AND name = ?');
    this.deleteAll = connection.change('DELETE FROM xattrs WHERE inode = ?');
  }

  get(inode: number, name: Uint8Array): Buffer | undefined {
    return this.#select(inode, name)?.[0];
  }

  names(inode: number): Buffer[] {
    return this.#names(inode).map(([name]) => name);
  }

  among(parent: number, after: Uint8Array, last: Uint8Array): number[] {
    return this.#among(parent, after, last).map(([inode]) => inode);
  }
}

export class SqliteInodeSet implements InodeSet {
  readonly #page;
  readonly insert: (inode: number) => void;
  readonly delete: (inode: number) => void;

  constructor(connection: SqliteConnection, table: 'orphans' | 'garbage' | 'fragmented') {
    this.#page = connection.rows<[number]>(
      `SELECT inode FROM ${table} WHERE inode > ? ORDER BY inode LIMIT ?`,
    );
    this.insert = connection.change(`INSERT OR IGNORE INTO ${table} (inode) VALUES (?)`);
    this.delete = connection.change(`DELETE FROM ${table} WHERE inode = ?`);
  }

  after(after: number, limit: number): number[] {
    return this.#page(after, limit).map(([inode]) => inode);
  }
}
