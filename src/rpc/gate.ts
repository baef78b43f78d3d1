/** Decides which requests a connection may make, before and after its peer has proved its role. */
import type { Random } from '../platform/random.js';
import type { Command } from '../protocol/command.js';
import { DfsError } from '../protocol/errors.js';
import type { Role, Sender } from '../protocol/roles.js';
import { CHALLENGE_BYTES, hello, isSameProof, proofOf, prove } from './authentication.js';
import { Routes } from './routes.js';
import type { Keyring, ServerKind } from './keyring.js';

/** What the other end of a connection has proved to be. */
export interface Member {
  readonly role: Sender;
}

const SENDER_NAMES: Readonly<Record<Sender, string>> = {
  client: 'clients',
  node: 'data nodes',
  admin: 'administrators',
  metadata: 'the metadata server',
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
    `'${name}' is for ${allowed}, and this connection's key is for ${own}; use a key of that role (dfs key)`,
  );
}

export interface GateOptions {
  readonly keys: Keyring;
  /** What kind of server stands behind the gate. */
  readonly kind: ServerKind;
  readonly random: Random;
}

/** Lets a connection's requests through once the client has proved its role, as far as the role goes. */
export class Gate {
  readonly routes: Routes;
  /** Called when the client has proved that it is a member. */
  onProved: () => void = () => undefined;
  #member: Member | undefined;

  constructor({ keys, kind, random }: GateOptions, inner: Routes) {
    const own = random.bytes(CHALLENGE_BYTES);
    let claim:
      { readonly role: Role; readonly secret: Uint8Array; readonly challenge: Uint8Array } | undefined;
    this.routes = new Routes(inner)
      .on(hello, async ({ role, challenge }) => {
        const secret = keys.secret(role, kind);
        if (!secret) throw new DfsError('EACCES', `this server has no secret to check ${role} keys with`);
        claim = { role, secret, challenge };
        return { challenge: own, proof: proofOf(secret, 'server', role, challenge, own) };
      })
      .on(prove, async ({ proof }) => {
        const { role, secret, challenge } = claim ?? {};
        if (!role || !secret || !challenge) throw new DfsError('EPROTO', "'prove' came before 'hello'");
        if (!isSameProof(proof, proofOf(secret, 'client', role, challenge, own))) {
          throw new DfsError('EACCES', 'the key is not the one of this cluster; check --key-file');
        }
        this.#member = { role };
        this.onProved();
        return {};
      });
  }

  /** Whether the client has proved that it is a member. */
  get isOpen(): boolean {
    return this.#member !== undefined;
  }

  admit(command: Command): void {
    requireAllowed(command, this.#member);
  }
}
