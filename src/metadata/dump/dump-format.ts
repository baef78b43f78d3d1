/**
 * All metadata as lines of JSON:
 *
 *     {"dfs":"metadata","version":1,"schema":3,"secrets":false}
 *     {"table":"counters","row":{"name":"chunk","value":1048576}}
 *     …
 *     {"end":true,"rows":12345}
 *
 * Tables come in the order of their names and rows in that of their keys, so that equal databases have equal dumps. Bytes
 * are a string where they are printable UTF-8, which most names are, and else {"base64":"…"}.
 *
 * `secrets` says whether the dump has what lets its reader act in the cluster's name or in a client's; a dump that does not
 * say is an old one, which has. Without secrets there is no grant key (loading makes a new one), and there are no sessions:
 * the remembered replies of a session go with it.
 */

/** Of the lines, not of the schema. */
export const DUMP_VERSION = 1;

/** Of a table of settings, what anybody may know; everything else is secret. */
const PUBLIC_SETTINGS: ReadonlySet<unknown> = new Set(['cluster', 'key-fingerprint']);
/**
 * Tables of sessions, by whose secrets others could act, of replies to them, which hold signed grants, and of tokens, by which others
 * could join.
 */
const SECRET_TABLES: ReadonlySet<string> = new Set(['sessions', 'replies', 'tokens']);

/** Whether a table has nothing to be told without secrets. */
export function isSecretTable(table: string): boolean {
  return SECRET_TABLES.has(table);
}

/** Whether a row has nothing to be told without secrets. */
export function isSecretRow(table: string, row: object): boolean {
  return table === 'settings' && !('name' in row && PUBLIC_SETTINGS.has(row.name));
}

export type JsonCell = string | number | null | { readonly base64: string };
export type DatabaseCell = string | number | Buffer | null;

/** What cannot be seen, or would be another thing after somebody's editor. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\uFFFD]/u;

export function toJsonCell(cell: DatabaseCell): JsonCell {
  if (!Buffer.isBuffer(cell)) return cell;
  const text = cell.toString('utf8');
  const isText = !UNPRINTABLE.test(text) && Buffer.from(text).equals(cell);
  return isText ? text : { base64: cell.toString('base64') };
}

/**
 * The cell of a column of this SQL type.
 * @returns undefined when it is none
 */
export function toDatabaseCell(cell: unknown, type: string): DatabaseCell | undefined {
  if (type === 'BLOB') {
    if (typeof cell === 'string') return Buffer.from(cell);
    const isBytes = typeof cell === 'object' && cell !== null && 'base64' in cell;
    return isBytes && typeof cell.base64 === 'string' ? Buffer.from(cell.base64, 'base64') : undefined;
  }
  if (type === 'INTEGER') return Number.isSafeInteger(cell) ? (cell as number) : undefined;
  return typeof cell === 'string' ? cell : undefined;
}

/** A table as SQLite describes it. */
export interface Column {
  readonly name: string;
  readonly type: string;
  /** Place in the primary key, from 1; 0 for others. */
  readonly pk: number;
}
