/** Members of the cluster, their certificates, and tokens to become one, in SQLite. */
import { MEMBER_ROLES } from '../../../identity/member.js';
import { DfsError } from '../../../protocol/errors.js';
import { ROLES, type Role } from '../../../protocol/roles.js';
import type {
  CertificateRecord,
  CertificateTable,
  MemberRecord,
  MemberTable,
  TokenRecord,
  TokenTable,
} from '../store.js';
import type { SqliteConnection } from './connection.js';

type MemberRow = readonly [role: string, name: string, joinedMs: number];

function roleIn<Name extends string>(names: readonly Name[], text: string): Name {
  const role = names.find(each => each === text);
  if (role === undefined)
    throw new DfsError('EIO', `the database knows a role '${text}', which there is not`);
  return role;
}

function toMember([role, name, joinedMs]: MemberRow): MemberRecord {
  return { role: roleIn(MEMBER_ROLES, role), name, joinedMs };
}

export class SqliteMembers implements MemberTable {
  readonly #all;
  readonly #select;
  readonly #insert;
  readonly delete: (role: string, name: string) => void;

  constructor(connection: SqliteConnection) {
    const select = 'SELECT role, name, joined_ms FROM members';
    this.#all = connection.rows<MemberRow>(`${select} ORDER BY role, name`);
    this.#select = connection.row<MemberRow>(`${select} WHERE role = ? AND name = ?`);
    this.#insert = connection.change('INSERT INTO members (role, name, joined_ms) VALUES (?, ?, ?)');
    this.delete = connection.change('DELETE FROM members WHERE role = ? AND name = ?');
  }

  all(): MemberRecord[] {
    return this.#all().map(toMember);
  }

  get(role: string, name: string): MemberRecord | undefined {
    const row = this.#select(role, name);
    return row && toMember(row);
  }

  insert({ role, name, joinedMs }: MemberRecord): void {
    this.#insert(role, name, joinedMs);
  }
}

type TokenRow = readonly [
  id: Buffer,
  secret: Buffer,
  role: string,
  madeMs: number,
  expiresMs: number,
  once: number,
];

function toToken([id, secret, role, madeMs, expiresMs, once]: TokenRow): TokenRecord {
  return { id, secret, role: roleIn<Role>(ROLES, role), madeMs, expiresMs, isForOne: once !== 0 };
}

export class SqliteTokens implements TokenTable {
  readonly #all;
  readonly #select;
  readonly #insert;
  readonly delete: (id: Uint8Array) => number;
  readonly deleteUntil: (nowMs: number) => number;

  constructor(connection: SqliteConnection) {
    const select = 'SELECT id, secret, role, made_ms, expires_ms, once FROM tokens';
    this.#all = connection.rows<TokenRow>(`${select} ORDER BY made_ms, id`);
    this.#select = connection.row<TokenRow>(`${select} WHERE id = ?`);
    this.#insert = connection.change(
      'INSERT INTO tokens (id, secret, role, made_ms, expires_ms, once) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.delete = connection.change('DELETE FROM tokens WHERE id = ?');
    this.deleteUntil = connection.change('DELETE FROM tokens WHERE expires_ms <= ?');
  }

  all(): TokenRecord[] {
    return this.#all().map(toToken);
  }

  get(id: Uint8Array): TokenRecord | undefined {
    const row = this.#select(id);
    return row && toToken(row);
  }

  insert({ id, secret, role, madeMs, expiresMs, isForOne }: TokenRecord): void {
    this.#insert(id, secret, role, madeMs, expiresMs, isForOne ? 1 : 0);
  }
}

export class SqliteCertificates implements CertificateTable {
  readonly #insert;
  readonly #lastExpiry;
  readonly #revoked;
  readonly revokeAll: (role: string, name: string) => void;
  readonly deleteUntil: (nowMs: number) => number;

  constructor(connection: SqliteConnection) {
    this.#insert = connection.change(
      'INSERT INTO certificates (serial, role, name, expires_ms, revoked) VALUES (?, ?, ?, ?, 0)',
    );
    this.#lastExpiry = connection.row<[number]>(
      'SELECT coalesce(max(expires_ms), 0) FROM certificates WHERE role = ? AND name = ?',
    );
    this.#revoked = connection.rows<[string]>(
      'SELECT serial FROM certificates WHERE revoked = 1 ORDER BY serial',
    );
    this.revokeAll = connection.change('UPDATE certificates SET revoked = 1 WHERE role = ? AND name = ?');
    this.deleteUntil = connection.change('DELETE FROM certificates WHERE expires_ms <= ?');
  }

  insert({ serial, role, name, expiresMs }: CertificateRecord): void {
    this.#insert(serial, role, name, expiresMs);
  }

  lastExpiry(role: string, name: string): number {
    return this.#lastExpiry(role, name)?.[0] ?? 0;
  }

  revoked(): string[] {
    return this.#revoked().map(([serial]) => serial);
  }
}
