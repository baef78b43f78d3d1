/** Exports in SQLite. */
import { SQUASHES, type ExportRule, type IdRange } from '../../../protocol/export-commands.js';
import { DfsError } from '../../../protocol/errors.js';
import type { ExportTable } from '../store.js';
import type { SqliteConnection } from './connection.js';

type Row = readonly [
  id: number,
  root: number,
  path: Buffer,
  target: string,
  readOnly: number,
  squash: string,
  anonUid: number,
  anonGid: number,
  uids: string,
  gids: string,
];

const SLASH = 0x2f;
const NUMBERS_OF_RANGE = 3;

export class SqliteExports implements ExportTable {
  readonly #all;
  readonly #insert;
  readonly delete: (id: number) => number;

  constructor(connection: SqliteConnection) {
    const columns = 'id, root, path, target, read_only, squash, anon_uid, anon_gid, uids, gids';
    this.#all = connection.rows<Row>(`SELECT ${columns} FROM exports ORDER BY id`);
    this.#insert = connection.change(
      `INSERT INTO exports (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.delete = connection.change('DELETE FROM exports WHERE id = ?');
  }

  all(): ExportRule[] {
    return this.#all().map(([id, root, path, target, readOnly, squash, anonUid, anonGid, uids, gids]) => ({
      id,
      root,
      path: namesOf(path),
      target,
      readOnly: readOnly !== 0,
      squash: squashNamed(squash),
      anonUid,
      anonGid,
      uids: rangesOf(uids),
      gids: rangesOf(gids),
    }));
  }

  insert(rule: ExportRule): void {
    const { id, root, path, target, readOnly, squash, anonUid, anonGid, uids, gids } = rule;
    const joined = Buffer.concat(path.flatMap(name => [Buffer.from([SLASH]), name]));
    this.#insert(
      id,
      root,
      joined,
      target,
      readOnly ? 1 : 0,
      squash,
      anonUid,
      anonGid,
      textOf(uids),
      textOf(gids),
    );
  }
}

function squashNamed(text: string): ExportRule['squash'] {
  const squash = SQUASHES.find(each => each === text);
  if (squash) return squash;
  throw new DfsError('EIO', `the database has an export that squashes '${text}', which there is not`);
}

/** The names of a path that is kept as `/photos/2026`; none for ``, the root. */
function namesOf(path: Buffer): Buffer[] {
  const names: Buffer[] = [];
  for (let at = 0; at < path.length;) {
    const next = path.indexOf(SLASH, at + 1);
    const end = next === -1 ? path.length : next;
    names.push(path.subarray(at + 1, end));
    at = end;
  }
  return names;
}

/** Ranges as `1000:2000:1 5000:5000:100`. */
function textOf(ranges: readonly IdRange[]): string {
  return ranges.map(({ client, cluster, count }) => `${client}:${cluster}:${count}`).join(' ');
}

function rangesOf(text: string): IdRange[] {
  return text
    .split(' ')
    .filter(each => each !== '')
    .map(rangeOf);
}

function rangeOf(text: string): IdRange {
  const numbers = text.split(':').map(Number);
  const [client, cluster, count] = numbers;
  if (
    numbers.length !== NUMBERS_OF_RANGE ||
    client === undefined ||
    cluster === undefined ||
    count === undefined
  )
    throw new DfsError('EIO', `the database has an export with the range '${text}', which is none`);
  return { client, cluster, count };
}
