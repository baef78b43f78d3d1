/** Makes a metadata database from a dump (dump.ts) of this version or another one. */
import Database from 'better-sqlite3';
import type { Random } from '../../platform/random.js';
import { DfsError } from '../../protocol/errors.js';
import { ROOT_INODE } from '../../protocol/file-mode.js';
import { newGrantKey, publishDatabase } from '../create-database.js';
import { APPLICATION_ID, migrate, SCHEMA_VERSION } from '../store/sqlite/schema.js';
import { columnsOf } from './dump.js';
import { DUMP_VERSION, toDatabaseCell, type Column, type DatabaseCell } from './dump-format.js';

/** Rows in one transaction. */
const ROWS_AT_ONCE = 10_000;

export interface Loaded {
  readonly rows: number;
  /** Columns of rows, and rows of tables, that this version does not know and has left out. */
  readonly unknownFields: number;
  readonly unknownRows: number;
  /** The dump had no secrets: a new grant key was made, and every client begins a new session. */
  readonly hasNewKey: boolean;
}

/**
 * Makes the database at `path` from lines; one line is held in memory. EEXIST when there is a database; EINVAL, naming
 * the line, for what is no dump, or one that ends too early.
 */
export async function loadDatabase(
  lines: AsyncIterable<string>,
  path: string,
  random: Random,
): Promise<Loaded> {
  let loaded: Loaded | undefined;
  await publishDatabase(path, random, async temporary => {
    const database = new Database(temporary);
    try {
      database.pragma('synchronous = FULL');
      database.pragma(`application_id = ${APPLICATION_ID}`);
      loaded = await new Loading(database, random).run(lines);
    } finally {
      database.close();
    }
  });
  if (!loaded) throw new DfsError('EIO', 'nothing was loaded');
  return loaded;
}

interface Target {
  /** column name → column */
  readonly columns: ReadonlyMap<string, Column>;
  /** Statements by the names of the columns that they fill. */
  readonly inserts: Map<string, Database.Statement>;
}

class Loading {
  readonly #database: Database.Database;
  readonly #random: Random;
  /** Whether the dump says that it was made without secrets. */
  #isWithoutSecrets = false;
  /** table → where its rows go; undefined for a table that is not known */
  readonly #targets = new Map<string, Target | undefined>();
  #line = 0;
  #rows = 0;
  #unknownFields = 0;
  #unknownRows = 0;

  constructor(database: Database.Database, random: Random) {
    this.#database = database;
    this.#random = random;
  }

  async run(lines: AsyncIterable<string>): Promise<Loaded> {
    let schema: number | undefined;
    let isEnded = false;
    for await (const line of lines) {
      this.#line += 1;
      if (line === '') continue;
      const value = this.#parse(line);
      if (isEnded) throw this.#wrong('stands after the end of the dump');
      if (schema === undefined) schema = this.#begin(value);
      else if ('end' in value) isEnded = this.#isEnd(value);
      else this.#insert(value);
    }
    if (schema === undefined || !isEnded) {
      throw new DfsError('EINVAL', 'the dump is not complete: its last line is missing; make it again');
    }
    if (this.#database.inTransaction) this.#database.exec('COMMIT');
    migrate(this.#database, Math.min(schema, SCHEMA_VERSION));
    const hasNewKey = this.#isWithoutSecrets && !this.#has('grant-key');
    if (hasNewKey) this.#makeGrantKey();
    this.#check();
    return {
      hasNewKey,
      rows: this.#rows - this.#unknownRows,
      unknownFields: this.#unknownFields,
      unknownRows: this.#unknownRows,
    };
  }

  /** The first line; makes the tables as they were when the dump was written. */
  #begin(value: object): number {
    const { dfs, version, schema, secrets } = value as Record<string, unknown>;
    if (dfs !== 'metadata') throw this.#wrong('is not the first of a dump of DFS metadata');
    if (version !== DUMP_VERSION) throw this.#wrong(`says version ${String(version)}; upgrade this program`);
    if (!Number.isSafeInteger(schema) || Number(schema) < 1) throw this.#wrong('names no schema');
    this.#isWithoutSecrets = secrets === false;
    migrate(this.#database, 0, Number(schema));
    return Number(schema);
  }

  #isEnd(value: object): boolean {
    const { rows } = value as { rows?: unknown };
    if (rows !== this.#rows) throw this.#wrong(`says ${String(rows)} rows, but there were ${this.#rows}`);
    return true;
  }

  #insert(value: object): void {
    const { table, row } = value as { table?: unknown; row?: unknown };
    if (typeof table !== 'string' || typeof row !== 'object' || row === null)
      throw this.#wrong('is no row of a table');
    if (this.#rows % ROWS_AT_ONCE === 0) {
      if (this.#database.inTransaction) this.#database.exec('COMMIT');
      this.#database.exec('BEGIN');
    }
    this.#rows += 1;
    const target = this.#targetOf(table);
    if (!target) {
      this.#unknownRows += 1;
      return;
    }
    const names: string[] = [];
    const cells: DatabaseCell[] = [];
    for (const [name, cell] of Object.entries(row)) {
      const column = target.columns.get(name);
      if (!column) {
        this.#unknownFields += 1;
        continue;
      }
      const stored = toDatabaseCell(cell, column.type);
      if (stored === undefined) throw this.#wrong(`has no ${column.type} as ${table}.${name}`);
      names.push(name);
      cells.push(stored);
    }
    try {
      this.#statement(table, target, names).run(...cells);
    } catch (error) {
      throw this.#wrong(`does not fit (${error instanceof Error ? error.message : String(error)})`);
    }
  }

  #targetOf(table: string): Target | undefined {
    if (this.#targets.has(table)) return this.#targets.get(table);
    const columns = columnsOf(this.#database, table);
    const target: Target | undefined =
      columns.length === 0
        ? undefined
        : { columns: new Map(columns.map(column => [column.name, column])), inserts: new Map() };
    this.#targets.set(table, target);
    return target;
  }

  #statement(table: string, { inserts }: Target, names: readonly string[]): Database.Statement {
    const key = names.join();
    const existing = inserts.get(key);
    if (existing) return existing;
    const columns = names.map(name => `"${name}"`).join(', ');
    const holes = names.map(() => '?').join(', ');
    const statement = this.#database.prepare(`INSERT INTO "${table}" (${columns}) VALUES (${holes})`);
    inserts.set(key, statement);
    return statement;
  }

  /** Data nodes learn it when they register with the server that uses this database. */
  #makeGrantKey(): void {
    this.#database
      .prepare(`INSERT INTO settings (name, value) VALUES ('grant-key', ?)`)
      .run(newGrantKey(this.#random));
  }

  #has(setting: string): boolean {
    return this.#database.prepare('SELECT 1 FROM settings WHERE name = ?').get(setting) !== undefined;
  }

  /** What every file system has. */
  #check(): void {
    const root = this.#database.prepare('SELECT 1 FROM inodes WHERE inode = ?').get(ROOT_INODE);
    if (root !== undefined && this.#has('cluster') && this.#has('grant-key')) return;
    throw new DfsError('EINVAL', 'the dump has no root directory or no cluster identity; it is not complete');
  }

  #parse(line: string): object {
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value === 'object' && value !== null) return value;
    } catch {
      // Told below.
    }
    throw this.#wrong('is not JSON');
  }

  #wrong(what: string): DfsError {
    return new DfsError('EINVAL', `line ${this.#line} of the dump ${what}`);
  }
}
