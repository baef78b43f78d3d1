/** Extents, chunks, and the fate of chunks, in SQLite. */
import type { Extent } from '../../../protocol/types.js';
import type {
  ChunkRecord,
  ChunkTable,
  DoomedTable,
  DropTable,
  ExtentTable,
  GrantRecord,
  GrantTable,
  IntentLogRecord,
  IntentLogTable,
  RetiredTable,
} from '../store.js';
import type { SqliteConnection } from './connection.js';

const NODE_NUMBER_BYTES = 4;

function encodeNodes(nodes: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(nodes.length * NODE_NUMBER_BYTES);
  for (const [index, node] of nodes.entries()) bytes.writeUInt32LE(node, index * NODE_NUMBER_BYTES);
  return bytes;
}

function decodeNodes(bytes: Buffer): number[] {
  const nodes: number[] = [];
  for (let at = 0; at < bytes.length; at += NODE_NUMBER_BYTES) nodes.push(bytes.readUInt32LE(at));
  return nodes;
}

type ExtentRow = readonly [offset: number, length: number, chunk: number, chunkOffset: number];

function toExtent([offset, length, chunk, chunkOffset]: ExtentRow): Extent {
  return { offset, length, chunk, chunkOffset };
}

export class SqliteExtents implements ExtentTable {
  readonly #atOrBefore;
  readonly #range;
  readonly #last;
  readonly #insert;
  readonly #setLength;
  readonly deleteRange: (inode: number, start: number, end: number) => void;

  constructor(connection: SqliteConnection) {
    const select = 'SELECT offset, length, chunk, chunk_offset FROM extents WHERE inode = ?';
    this.#atOrBefore = connection.row<ExtentRow>(`${select} AND offset <= ? ORDER BY offset DESC LIMIT 1`);
    this.#range = connection.rows<ExtentRow>(
      `${select} AND offset >= ? AND offset < ? ORDER BY offset LIMIT ?`,
    );
    this.#last = connection.rows<ExtentRow>(`${select} AND offset >= ? ORDER BY offset DESC LIMIT ?`);
    this.#insert = connection.change(
      'INSERT INTO extents (inode, offset, length, chunk, chunk_offset) VALUES (?, ?, ?, ?, ?)',
    );
    this.#setLength = connection.change('UPDATE extents SET length = ? WHERE inode = ? AND offset = ?');
    this.deleteRange = connection.change(
      'DELETE FROM extents WHERE inode = ? AND offset >= ? AND offset < ?',
    );
  }

  atOrBefore(inode: number, offset: number): Extent | undefined {
    const row = this.#atOrBefore(inode, offset);
    return row && toExtent(row);
  }

  range(inode: number, start: number, end: number, limit: number): Extent[] {
    return this.#range(inode, start, end, limit).map(toExtent);
  }

  last(inode: number, start: number, limit: number): Extent[] {
    return this.#last(inode, start, limit).map(toExtent);
  }

  insert(inode: number, extent: Extent): void {
    this.#insert(inode, extent.offset, extent.length, extent.chunk, extent.chunkOffset);
  }

  setLength(inode: number, offset: number, length: number): void {
    this.#setLength(length, inode, offset);
  }
}

type ChunkRow = readonly [
  chunk: number,
  length: number,
  checksum: number,
  references: number,
  goal: number,
  nodes: Buffer,
];

/** A parameter that is a list of numbers, as JSON: one statement for many rows is several times cheaper than one for each. */
const LIST = '(SELECT value FROM json_each(?))';

function toChunk([chunk, length, checksum, references, goal, nodes]: ChunkRow): ChunkRecord {
  return { chunk, length, checksum, references, goal, nodes: decodeNodes(nodes) };
}

export class SqliteChunks implements ChunkTable {
  readonly #select;
  readonly #among;
  readonly #insert;
  readonly #after;
  readonly #setReferences;
  readonly #setGoal;
  readonly #setNodes;
  readonly #deleteMany;

  constructor(connection: SqliteConnection) {
    const select = 'SELECT chunk, length, checksum, refs, goal, nodes FROM chunks';
    this.#select = connection.row<ChunkRow>(`${select} WHERE chunk = ?`);
    this.#among = connection.rows<ChunkRow>(`${select} WHERE chunk IN ${LIST} ORDER BY chunk`);
    this.#after = connection.rows<ChunkRow>(`${select} WHERE chunk > ? ORDER BY chunk LIMIT ?`);
    this.#insert = connection.change(
      'INSERT INTO chunks (chunk, length, checksum, refs, goal, nodes) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#setGoal = connection.change('UPDATE chunks SET goal = ? WHERE chunk = ?');
    this.#setNodes = connection.change('UPDATE chunks SET nodes = ? WHERE chunk = ?');
    this.#setReferences = connection.change('UPDATE chunks SET refs = ? WHERE chunk = ?');
    this.#deleteMany = connection.change(`DELETE FROM chunks WHERE chunk IN ${LIST}`);
  }

  get(chunk: number): ChunkRecord | undefined {
    const row = this.#select(chunk);
    return row && toChunk(row);
  }

  among(chunks: readonly number[]): ChunkRecord[] {
    return this.#among(JSON.stringify(chunks)).map(toChunk);
  }

  deleteMany(chunks: readonly number[]): void {
    this.#deleteMany(JSON.stringify(chunks));
  }

  after(after: number, limit: number): ChunkRecord[] {
    return this.#after(after, limit).map(toChunk);
  }

  insert(record: ChunkRecord): void {
    const { chunk, length, checksum, references, goal, nodes } = record;
    this.#insert(chunk, length, checksum, references, goal, encodeNodes(nodes));
  }

  setGoal(chunk: number, goal: number): void {
    this.#setGoal(goal, chunk);
  }

  setNodes(chunk: number, nodes: readonly number[]): void {
    this.#setNodes(encodeNodes(nodes), chunk);
  }

  setReferences(chunk: number, references: number): void {
    this.#setReferences(references, chunk);
  }
}

export class SqliteDoomed implements DoomedTable {
  readonly #due;
  readonly #deleteMany;
  readonly insert: (chunk: number, dueMs: number) => void;
  readonly delete: (chunk: number) => void;

  constructor(connection: SqliteConnection) {
    this.#due = connection.rows<[number]>(
      'SELECT chunk FROM doomed WHERE due_ms <= ? ORDER BY due_ms LIMIT ?',
    );
    this.insert = connection.change('INSERT OR REPLACE INTO doomed (chunk, due_ms) VALUES (?, ?)');
    this.delete = connection.change('DELETE FROM doomed WHERE chunk = ?');
    this.#deleteMany = connection.change(`DELETE FROM doomed WHERE chunk IN ${LIST}`);
  }

  deleteMany(chunks: readonly number[]): void {
    this.#deleteMany(JSON.stringify(chunks));
  }

  due(nowMs: number, limit: number): number[] {
    return this.#due(nowMs, limit).map(([chunk]) => chunk);
  }
}

export class SqliteRetired implements RetiredTable {
  readonly #select;
  readonly #insertMany;
  readonly deleteUntil: (nowMs: number, limit: number) => number;

  constructor(connection: SqliteConnection) {
    this.#select = connection.row<[number]>('SELECT chunk FROM retired WHERE chunk = ?');
    this.#insertMany = connection.change(
      'INSERT OR REPLACE INTO retired (chunk, until_ms) SELECT value, ? FROM json_each(?)',
    );
    this.deleteUntil = connection.change(
      `DELETE FROM retired WHERE chunk IN
         (SELECT chunk FROM retired WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)`,
    );
  }

  has(chunk: number): boolean {
    return this.#select(chunk) !== undefined;
  }

  insertMany(chunks: readonly number[], untilMs: number): void {
    this.#insertMany(untilMs, JSON.stringify(chunks));
  }
}

type GrantRow = readonly [chunk: number, expiresMs: number, nodes: Buffer];

function toGrant([chunk, expiresMs, nodes]: GrantRow): GrantRecord {
  return { chunk, expiresMs, nodes: decodeNodes(nodes) };
}

export class SqliteGrants implements GrantTable {
  readonly #select;
  readonly #oldest;
  readonly #insert;
  readonly #delete;

  constructor(connection: SqliteConnection) {
    this.#select = connection.row<GrantRow>('SELECT chunk, expires_ms, nodes FROM grants WHERE chunk = ?');
    this.#oldest = connection.rows<GrantRow>(
      'SELECT chunk, expires_ms, nodes FROM grants ORDER BY chunk LIMIT ?',
    );
    this.#insert = connection.change('INSERT INTO grants (chunk, expires_ms, nodes) VALUES (?, ?, ?)');
    this.#delete = connection.change('DELETE FROM grants WHERE chunk = ?');
  }

  get(chunk: number): GrantRecord | undefined {
    const row = this.#select(chunk);
    return row && toGrant(row);
  }

  insert(record: GrantRecord): void {
    this.#insert(record.chunk, record.expiresMs, encodeNodes(record.nodes));
  }

  oldest(limit: number): GrantRecord[] {
    return this.#oldest(limit).map(toGrant);
  }

  delete(chunk: number): boolean {
    return this.#delete(chunk) > 0;
  }
}

export class SqliteDrops implements DropTable {
  readonly #select;
  readonly #due;
  readonly #insertMany;
  readonly #deleteMany;
  readonly insert: (node: number, chunk: number, dueMs: number) => void;
  readonly delete: (node: number, chunk: number) => void;
  readonly deleteAll: (node: number) => void;

  constructor(connection: SqliteConnection) {
    this.#due = connection.rows<[number]>(
      'SELECT chunk FROM drops WHERE node = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?',
    );
    this.#select = connection.row<[number]>('SELECT chunk FROM drops WHERE node = ? AND chunk = ?');
    this.insert = connection.change('INSERT OR REPLACE INTO drops (node, chunk, due_ms) VALUES (?, ?, ?)');
    this.delete = connection.change('DELETE FROM drops WHERE node = ? AND chunk = ?');
    this.#insertMany = connection.change(
      'INSERT OR REPLACE INTO drops (node, chunk, due_ms) SELECT ?, value, ? FROM json_each(?)',
    );
    this.#deleteMany = connection.change(`DELETE FROM drops WHERE node = ? AND chunk IN ${LIST}`);
    this.deleteAll = connection.change('DELETE FROM drops WHERE node = ?');
  }

  insertMany(node: number, chunks: readonly number[], dueMs: number): void {
    this.#insertMany(node, dueMs, JSON.stringify(chunks));
  }

  deleteMany(node: number, chunks: readonly number[]): void {
    this.#deleteMany(node, JSON.stringify(chunks));
  }

  has(node: number, chunk: number): boolean {
    return this.#select(node, chunk) !== undefined;
  }

  due(node: number, nowMs: number, limit: number): number[] {
    return this.#due(node, nowMs, limit).map(([chunk]) => chunk);
  }
}

export class SqliteIntentLogs implements IntentLogTable {
  readonly #all;
  readonly #put;
  readonly #advance;
  readonly delete: (inode: number) => void;

  constructor(connection: SqliteConnection) {
    this.#all = connection.rows<[number, number, number, number, number, Buffer]>(
      'SELECT inode, session, log, done, version, nodes FROM intent_logs',
    );
    this.#put = connection.change(
      'INSERT OR REPLACE INTO intent_logs (inode, session, log, done, version, nodes) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#advance = connection.change('UPDATE intent_logs SET done = ?, version = ? WHERE inode = ?');
    this.delete = connection.change('DELETE FROM intent_logs WHERE inode = ?');
  }

  all(): IntentLogRecord[] {
    return this.#all().map(([inode, session, log, done, version, nodes]) => ({
      inode,
      session,
      log,
      done,
      version,
      nodes: decodeNodes(nodes),
    }));
  }

  put({ inode, session, log, done, version, nodes }: IntentLogRecord): void {
    this.#put(inode, session, log, done, version, encodeNodes(nodes));
  }

  advance(inode: number, done: number, version: number): void {
    this.#advance(done, version, inode);
  }
}
