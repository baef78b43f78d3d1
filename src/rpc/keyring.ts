/**
 * The secrets with which members of the cluster prove their roles, all derived from the cluster's key:
 *
 *     cluster key ─┬─ client ─┬─ towards the metadata server
 *                  │          └─ towards data nodes ──────────┐
 *                  ├─ node ───┬─ towards the metadata server  │
 *                  │          └─ towards data nodes           ├─ a data node holds `node` and these two
 *                  └─ admin ──┬─ towards the metadata server  │
 *                             └─ towards data nodes ──────────┘
 *
 * A server checks a proof with the secret that made it. So that a data node can check clients without being able to
 * pass for one at the metadata server, a role has one secret towards each kind of server.
 */
import { createHash, hkdfSync } from 'node:crypto';
import { CertificateAuthority } from '../identity/certificate-authority.js';
import { DfsError } from '../protocol/errors.js';
import { ROLES, type Role } from '../protocol/roles.js';

export const SERVER_KINDS = ['metadata', 'data'] as const;
export type ServerKind = (typeof SERVER_KINDS)[number];

const SECRET_BYTES = 32;
/** `dfs-client:BASE64`: one role's secrets, without the cluster's key. */
const ROLE_TEXT = /^dfs-([a-z]+):([A-Za-z0-9+/=]*)$/;

const ROLE_NAMES: Readonly<Record<Role, string>> = {
  client: "a client's",
  node: "a data node's",
  admin: "an administrator's",
};

function derive(secret: Uint8Array, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `dfs ${label}`, SECRET_BYTES));
}

function towards(roleSecret: Uint8Array, server: ServerKind): Buffer {
  return derive(roleSecret, `towards ${server}`);
}

export class Keyring {
  /** Where the secrets come from, for messages: a file's path. */
  readonly origin: string;
  /** Tells the cluster's key without giving it away; undefined for a keyring of one role. */
  readonly fingerprint: string | undefined;
  /** The cluster's certificate authority; undefined for a keyring of one role. */
  readonly authority: CertificateAuthority | undefined;
  /** "role server" → secret */
  readonly #secrets: ReadonlyMap<string, Buffer>;
  /** role → its text; only with the cluster's key */
  readonly #texts: ReadonlyMap<Role, string>;

  private constructor(
    origin: string,
    secrets: ReadonlyMap<string, Buffer>,
    fingerprint?: string,
    texts: ReadonlyMap<Role, string> = new Map(),
    authority?: CertificateAuthority,
  ) {
    this.origin = origin;
    this.authority = authority;
    this.fingerprint = fingerprint;
    this.#secrets = secrets;
    this.#texts = texts;
  }

  /** No secret: for a member that is known by its certificate. */
  static none(origin: string): Keyring {
    return new Keyring(origin, new Map());
  }

  /** Every role's secrets. */
  static ofCluster(key: Uint8Array, origin: string): Keyring {
    const secrets = new Map<string, Buffer>();
    const roleSecrets = new Map(ROLES.map(role => [role, derive(key, `role ${role}`)]));
    for (const [role, secret] of roleSecrets) addBoth(secrets, role, secret);
    const texts = new Map<Role, string>();
    for (const [role, secret] of roleSecrets) {
      const parts = role === 'node' ? [secret, ...atDataNodes(secrets)] : [secret];
      texts.set(role, `dfs-${role}:${Buffer.concat(parts).toString('base64')}`);
    }
    const fingerprint = createHash('sha256').update(derive(key, 'fingerprint')).digest('hex');
    const authority = new CertificateAuthority(derive(key, 'certificate authority'));
    return new Keyring(origin, secrets, fingerprint, texts, authority);
  }

  /**
   * The keyring of a text as exportRole() makes it; undefined when it is another text. EINVAL when it is one that was
   * damaged, or names no role.
   */
  static ofRole(text: string, origin: string): Keyring | undefined {
    const [, name, base64] = ROLE_TEXT.exec(text) ?? [];
    if (name === undefined || base64 === undefined) return undefined;
    const role = ROLES.find(each => each === name);
    const bytes = Buffer.from(base64, 'base64');
    const count = role === 'node' ? 3 : 1;
    if (!role || bytes.length !== count * SECRET_BYTES) {
      throw new DfsError('EINVAL', `${origin} holds a damaged key; make it again with: dfs key ROLE`);
    }
    const secrets = new Map<string, Buffer>();
    const part = (index: number): Buffer => bytes.subarray(index * SECRET_BYTES, (index + 1) * SECRET_BYTES);
    addBoth(secrets, role, part(0));
    if (role === 'node') {
      for (const [index, other] of VISITORS.entries()) secrets.set(`${other} data`, part(index + 1));
    }
    return new Keyring(origin, secrets);
  }

  /** What proves `role` to a server of this kind, and what such a server checks it with; undefined when not held. */
  secret(role: Role, server: ServerKind): Buffer | undefined {
    return this.#secrets.get(`${role} ${server}`);
  }

  /** Whether the role can be proved to every server. */
  holds(role: Role): boolean {
    return SERVER_KINDS.every(server => this.#secrets.has(`${role} ${server}`));
  }

  /**
   * The role to work under as `wanted`: an administrator may do all that a client may. EACCES, naming the file, when
   * neither is held.
   */
  roleAs(wanted: Role): Role {
    if (this.holds(wanted)) return wanted;
    if (wanted === 'client' && this.holds('admin')) return 'admin';
    const held = ROLES.filter(role => this.holds(role)).map(role => ROLE_NAMES[role]);
    throw new DfsError(
      'EACCES',
      `the key in ${this.origin} is ${held.join(' and ')}, and this needs ${ROLE_NAMES[wanted]} (dfs key ${wanted})`,
    );
  }

  /** One role's secrets as text for a file of their own. EACCES without the cluster's key. */
  exportRole(role: Role): string {
    const text = this.#texts.get(role);
    if (text === undefined) {
      throw new DfsError(
        'EACCES',
        `${this.origin} holds one role's key alone; others are made of the cluster's key, which createdb made`,
      );
    }
    return text;
  }
}

/** The other roles that a data node answers, in the order in which its text has their secrets. */
const VISITORS = ['client', 'admin'] as const;

function atDataNodes(secrets: ReadonlyMap<string, Buffer>): Buffer[] {
  return VISITORS.flatMap(role => secrets.get(`${role} data`) ?? []);
}

function addBoth(secrets: Map<string, Buffer>, role: Role, roleSecret: Uint8Array): void {
  for (const server of SERVER_KINDS) secrets.set(`${role} ${server}`, towards(roleSecret, server));
}
