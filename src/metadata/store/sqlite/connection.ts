/** A SQLite connection as the tables use it: statements prepared once, changes counted. */
import type Database from 'better-sqlite3';

/** What SQLite stores here. Numbers are whole and below 2⁵³. */
export type Cell = number | string | Uint8Array;

/**
 * SQLite plans a query by the values of its parameters where it takes one for a limit or the bound of a range, and then makes the
 * plan again for every other value: five microseconds a query, several times what the query itself takes. Behind a plus sign
 * it does not look at them (https://www.sqlite.org/c3ref/prepare.html, on sqlite3_step and rebinding).
 */
function withPlainParameters(sql: string): string {
  return sql.replaceAll('?', '+?');
}

export class SqliteConnection {
  readonly database: Database.Database;
  /** Statements executed so far that change something. */
  changes = 0;

  constructor(database: Database.Database) {
    this.database = database;
  }

  /** A query for at most one row, as a tuple of its columns. */
  row<Row extends readonly unknown[]>(sql: string): (...cells: Cell[]) => Row | undefined {
    // Rows as tuples take half the time of rows as objects.
    const statement = this.database.prepare<Cell[], Row>(withPlainParameters(sql)).raw();
    return (...cells) => statement.get(...cells);
  }

  /** A query for rows, as tuples of their columns. */
  rows<Row extends readonly unknown[]>(sql: string): (...cells: Cell[]) => Row[] {
    const statement = this.database.prepare<Cell[], Row>(withPlainParameters(sql)).raw();
    return (...cells) => statement.all(...cells);
  }

  /** A statement that changes something; returns how many rows. */
  change(sql: string): (...cells: Cell[]) => number {
    const statement = this.database.prepare<Cell[]>(withPlainParameters(sql));
    return (...cells) => {
      this.changes += 1;
      return statement.run(...cells).changes;
    };
  }
}
