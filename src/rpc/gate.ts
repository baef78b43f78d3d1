/** Decides which requests a connection may make, before and after its peer has proved its role. */
import type { PeerCertificate, StreamSecurity } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import type { Command, RequestOf } from '../protocol/command.js';
import { DfsError } from '../protocol/errors.js';
import { ROLES, type Role, type Sender } from '../protocol/roles.js';
import { CAPABILITIES, requireCompatible, VERSION } from '../protocol/version.js';
import { CHALLENGE_BYTES, hello, isSameProof, proofOf, prove } from './authentication.js';
import type { Member } from './member.js';
import { Routes } from './routes.js';
import type { Keyring, ServerKind } from './keyring.js';

/** A token as the server knows it. */
export interface KnownToken {
  readonly secret: Uint8Array;
  readonly role: Role;
}

/** Finds a token by its id; undefined for one that does not count, or not any more. */
export type FindToken = (id: Uint8Array) => Promise<KnownToken | undefined>;

const NO_BINDING = Buffer.alloc(0);

const SENDER_NAMES: Readonly<Record<Sender, string>> = {
  client: 'clients',
  node: 'data nodes',
  admin: 'administrators',
  metadata: 'the metadata server',
  joiner: 'those who join',
};

/** Throws EACCES, naming the roles, unless `command` is taken from `member`; undefined: it has proved nothing yet. */
export function requireAllowed({ name, allow }: Command, member: Member | undefined): void {
  if (allow === 'strangers') return;
  if (!member) throw new DfsError('EACCES', 'this cluster asks for its key; give --key-file FILE');
  if (allow.includes(member.role)) return;
  const allowed = allow.map(role => SENDER_NAMES[role]).join(' and ');
  const own = SENDER_NAMES[member.role];
  throw new DfsError(
    'EACCES',
    `'${name}' is for ${allowed}, and this connection's key or certificate is for ${own}; use one of that role (dfs key, dfs join --role)`,
  );
}

export interface GateOptions {
  readonly keys: Keyring;
  /** What kind of server stands behind the gate. */
  readonly kind: ServerKind;
  readonly random: Random;
  /** Default: there are no tokens. */
  readonly findToken?: FindToken;
}

interface Claim extends KnownToken {
  readonly token: Uint8Array | undefined;
  readonly challenge: Uint8Array;
}

/** Lets a connection's requests through once the client has proved its role, as far as the role goes. */
export class Gate {
  readonly routes: Routes;
  /** Called when the client has proved that it is a member. */
  onProved: () => void = () => undefined;
  readonly #options: GateOptions;
  readonly #security: StreamSecurity | undefined;
  readonly #challenge: Buffer;
  #claim: Claim | undefined;
  #member: Member | undefined;

  /** @param security of the connection's stream */
  constructor(options: GateOptions, inner: Routes, security?: StreamSecurity) {
    this.#options = options;
    this.#security = security;
    this.#challenge = options.random.bytes(CHALLENGE_BYTES);
    this.routes = new Routes(inner)
      .on(hello, async request => {
        requireCompatible(request.version);
        const answer = { challenge: this.#challenge, version: VERSION, capabilities: [...CAPABILITIES] };
        const certificate = security?.peer();
        if (!certificate) return { ...answer, proof: await this.#greet(request) };
        this.#admitMember({ role: roleOfCertificate(certificate), certificate });
        return { ...answer, proof: NO_BINDING };
      })
      .on(prove, async ({ proof }) => {
        this.#prove(proof);
        return {};
      });
  }

  /** Whether the client has proved that it is a member. */
  get isOpen(): boolean {
    return this.#member !== undefined;
  }

  /** What the client has proved to be. */
  get member(): Member | undefined {
    return this.#member;
  }

  admit(command: Command): void {
    requireAllowed(command, this.#member);
  }

  get #binding(): Uint8Array {
    return this.#security?.binding() ?? NO_BINDING;
  }

  /** The server's proof that it knows the same secret. */
  async #greet({ role, challenge, token }: RequestOf<typeof hello>): Promise<Buffer> {
    const known = await this.#findSecret(role, token);
    this.#claim = { ...known, token, challenge };
    return proofOf(known.secret, 'server', role, challenge, this.#challenge, this.#binding);
  }

  async #findSecret(role: Role, token: Uint8Array | undefined): Promise<KnownToken> {
    const { keys, kind, findToken } = this.#options;
    if (!token) {
      const secret = keys.secret(role, kind);
      if (secret) return { secret, role };
      throw new DfsError('EACCES', `this server has no secret to check ${role} keys with`);
    }
    const known = await findToken?.(token);
    if (known?.role === role) return known;
    throw new DfsError(
      'EACCES',
      'the token is not known: it has expired, was used or revoked, or is of another cluster',
    );
  }

  #prove(proof: Uint8Array): void {
    if (!this.#claim) throw new DfsError('EPROTO', "'prove' came before 'hello'");
    const { role, secret, challenge, token } = this.#claim;
    if (!isSameProof(proof, proofOf(secret, 'client', role, challenge, this.#challenge, this.#binding))) {
      throw new DfsError('EACCES', 'the key is not the one of this cluster; check --key-file');
    }
    // A secret says nothing of the machine that knows it: elsewhere it is good for a certificate, and for nothing else.
    const mayOnlyJoin = this.#security !== undefined || token !== undefined;
    this.#admitMember(mayOnlyJoin ? { role: 'joiner', joins: { role, token } } : { role });
  }

  #admitMember(member: Member): void {
    this.#member = member;
    this.onProved();
  }
}

/** The role under which the holder of a certificate may ask: the metadata server may ask whatever administrators may. */
function roleOfCertificate({ role, name }: PeerCertificate): Role {
  if (role === 'metadata') return 'admin';
  const known = ROLES.find(each => each === role);
  if (known) return known;
  throw new DfsError('EACCES', `the certificate of ${name} is for '${role}', which is no role here`);
}
