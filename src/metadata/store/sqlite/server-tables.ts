/** Sessions, remembered replies, data nodes and counters in SQLite. */
import type {
  CounterName,
  CounterTable,
  NodeRecord,
  NodeRecords,
  ReplyTable,
  SessionRecord,
  SessionRecords,
} from '../store.js';
import type { SqliteConnection } from './connection.js';

export class SqliteSessions implements SessionRecords {
  readonly #all;
  readonly #insert;
  readonly #setAcknowledged;
  readonly setCaches: (session: number) => void;
  readonly delete: (session: number) => void;

  constructor(connection: SqliteConnection) {
    this.#all = connection.rows<[number, Buffer, string, number, number]>(
      'SELECT session, secret, client, acknowledged, caches FROM sessions ORDER BY session',
    );
    this.#insert = connection.change(
      'INSERT INTO sessions (session, secret, client, acknowledged, caches) VALUES (?, ?, ?, ?, ?)',
    );
    this.#setAcknowledged = connection.change('UPDATE sessions SET acknowledged = ? WHERE session = ?');
    this.setCaches = connection.change('UPDATE sessions SET caches = 1 WHERE session = ?');
    this.delete = connection.change('DELETE FROM sessions WHERE session = ?');
  }

  all(): SessionRecord[] {
    return this.#all().map(([session, secret, client, acknowledged, caches]) => ({
      session,
      secret,
      client,
      acknowledged,
      caches: caches !== 0,
    }));
  }

  insert(record: SessionRecord): void {
    const { session, secret, client, acknowledged, caches } = record;
    this.#insert(session, secret, client, acknowledged, caches ? 1 : 0);
  }

  setAcknowledged(session: number, acknowledged: number): void {
    this.#setAcknowledged(acknowledged, session);
  }
}

export class SqliteReplies implements ReplyTable {
  readonly #select;
  readonly #summary;
  readonly insert: (session: number, sequence: number, reply: Uint8Array) => void;
  readonly deleteUntil: (session: number, sequence: number) => number;

  constructor(connection: SqliteConnection) {
    this.#select = connection.row<[Buffer]>('SELECT reply FROM replies WHERE session = ? AND sequence = ?');
    this.#summary = connection.row<[number, number | null]>(
      'SELECT count(*), max(sequence) FROM replies WHERE session = ?',
    );
    this.insert = connection.change('INSERT INTO replies (session, sequence, reply) VALUES (?, ?, ?)');
    this.deleteUntil = connection.change('DELETE FROM replies WHERE session = ? AND sequence <= ?');
  }

  get(session: number, sequence: number): Buffer | undefined {
    return this.#select(session, sequence)?.[0];
  }

  summary(session: number): { count: number; highest: number } {
    const [count, highest] = this.#summary(session) ?? [0, 0];
    return { count, highest: highest ?? 0 };
  }
}

export class SqliteNodes implements NodeRecords {
  readonly #all;
  readonly #insert;
  readonly #update;
  readonly delete: (node: number) => void;

  constructor(connection: SqliteConnection) {
    this.#all = connection.rows<[number, string, string, number, string, number, string]>(
      'SELECT node, id, host, port, domain, draining, member FROM nodes ORDER BY node',
    );
    this.#insert = connection.change(
      'INSERT INTO nodes (node, id, host, port, domain, draining, member) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    this.#update = connection.change(
      'UPDATE nodes SET id = ?, host = ?, port = ?, domain = ?, draining = ?, member = ? WHERE node = ?',
    );
    this.delete = connection.change('DELETE FROM nodes WHERE node = ?');
  }

  all(): NodeRecord[] {
    return this.#all().map(([node, id, host, port, domain, draining, member]) => ({
      node,
      id,
      host,
      port,
      domain,
      isDraining: draining !== 0,
      member,
    }));
  }

  insert(record: NodeRecord): void {
    const { node, id, host, port, domain, isDraining, member } = record;
    this.#insert(node, id, host, port, domain, isDraining ? 1 : 0, member);
  }

  update(record: NodeRecord): void {
    const { node, id, host, port, domain, isDraining, member } = record;
    this.#update(id, host, port, domain, isDraining ? 1 : 0, member, node);
  }
}

export class SqliteCounters implements CounterTable {
  readonly #select;
  readonly set: (name: CounterName, value: number) => void;
  readonly delete: (name: CounterName) => void;

  constructor(connection: SqliteConnection) {
    this.#select = connection.row<[number]>('SELECT value FROM counters WHERE name = ?');
    this.set = connection.change('INSERT OR REPLACE INTO counters (name, value) VALUES (?, ?)');
    this.delete = connection.change('DELETE FROM counters WHERE name = ?');
  }

  get(name: CounterName): number {
    return this.#select(name)?.[0] ?? 0;
  }
}
