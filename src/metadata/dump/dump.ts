/** Writes a metadata database as lines of JSON; see dump-format.ts. */
import type Database from 'better-sqlite3';
import { openForReading } from '../store/sqlite/database-file.js';
import {
  DUMP_VERSION,
  isSecretRow,
  isSecretTable,
  toJsonCell,
  type Column,
  type DatabaseCell,
} from './dump-format.js';

/** Bytes handed on at once. */
const BLOCK_BYTES = 64 << 10;

/**
 * Everything in the database at `path`, which nobody else uses, in blocks of text. Holds one block in memory.
 * ENOENT, EINVAL when it is no metadata database.
 * @param secrets whether the grant key and the sessions with their secrets come too (dump-format.ts)
 */
export async function* dumpDatabase(path: string, secrets: boolean): AsyncGenerator<string, void, void> {
  const { database, schema } = await openForReading(path);
  try {
    let block = `${JSON.stringify({ dfs: 'metadata', version: DUMP_VERSION, schema, secrets })}\n`;
    let rows = 0;
    for (const table of tablesOf(database)) {
      if (!secrets && isSecretTable(table)) continue;
      for (const row of rowsOf(database, table)) {
        if (!secrets && isSecretRow(table, row)) continue;
        block += `${JSON.stringify({ table, row })}\n`;
        rows += 1;
        if (block.length < BLOCK_BYTES) continue;
        yield block;
        block = '';
      }
    }
    yield `${block}${JSON.stringify({ end: true, rows })}\n`;
  } finally {
    database.close();
  }
}

function tablesOf(database: Database.Database): string[] {
  const sql = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`;
  return database.prepare<[], string>(sql).pluck().all();
}

/** Columns in the order of their names: migrations append them in another order than a new schema may have. */
export function columnsOf(database: Database.Database, table: string): Column[] {
  return database
    .prepare<[string], Column>('SELECT name, type, pk FROM pragma_table_info(?) ORDER BY name')
    .all(table);
}

function* rowsOf(database: Database.Database, table: string): Generator<object, void, void> {
  const columns = columnsOf(database, table);
  const key = columns.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk);
  const names = columns.map(({ name }) => `"${name}"`).join(', ');
  const order = key.map(({ name }) => `"${name}"`).join(', ');
  const select = database.prepare<[], DatabaseCell[]>(`SELECT ${names} FROM "${table}" ORDER BY ${order}`);
  for (const row of select.raw().iterate()) {
    yield Object.fromEntries(columns.map(({ name }, index) => [name, toJsonCell(row[index] ?? null)]));
  }
}
