/**
 * As what a process works in the cluster, and how it proves that: one rule for all commands.
 *
 * On loopback it is by a key (key-option.ts). Elsewhere it is by a certificate: the one that `dfs join` got for this machine, or one
 * that the holder of the cluster's key makes for itself.
 */
import type { KeyObject } from 'node:crypto';
import type { CertificateAuthority } from '../identity/certificate-authority.js';
import { IdentityKeeper } from '../identity/identity-keeper.js';
import { selfIssued, type Identity } from '../identity/identity.js';
import type { MemberRole } from '../identity/member.js';
import { Revocations } from '../identity/revocations.js';
import { TlsNetwork } from '../identity/tls-network.js';
import { steadyClock, systemClock } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import { tcpNetwork, type Endpoint, type Network } from '../platform/network.js';
import { systemRandom } from '../platform/random.js';
import { DfsError } from '../protocol/errors.js';
import { renewCertificate } from '../protocol/member-commands.js';
import type { Role } from '../protocol/roles.js';
import { RpcClient } from '../rpc/client.js';
import { Keyring } from '../rpc/keyring.js';
import { findIdentity, saveIdentity, storedIdentities, type StoredIdentity } from './identity-files.js';
import { hasKey, keyringFor } from './key-option.js';
import { machineName } from './machine-name.js';

export interface MemberAccess {
  readonly network: Network;
  readonly keys: Keyring;
  readonly role: Role;
  /** What the process is told to be revoked. */
  readonly revocations: Revocations;
  /** Renews the certificate, if it is one that this machine was given, while the process runs. */
  readonly keeper: IdentityKeeper | undefined;
}

const SELF_ISSUED_MS = 90 * 86_400_000;
const RENEW_TIMEOUT_MS = 30_000;
/** Of a certificate that a process made for itself, this part is used. */
const PART_USED = 2 / 3;

/**
 * How this process works as `wanted`. ENOENT when it has neither a key nor a certificate, EACCES when they are for another role, or
 * others could read them.
 * @param metadata where a new certificate is asked for
 */
export function accessAs(
  wanted: Role,
  {
    keyFile,
    log,
    metadata,
  }: { readonly keyFile: string | undefined; readonly log: Logger; readonly metadata?: Endpoint },
): MemberAccess {
  const stored = findIdentity(wanted === 'client' ? ['client', 'admin'] : [wanted]);
  if (!stored && !hasKey(keyFile)) requireOtherRole(wanted);
  // A certificate does without a key, unless somebody names one.
  const isByKey = !stored || hasKey(keyFile);
  const { keys, role } = isByKey
    ? keyringFor(wanted, keyFile)
    : { keys: Keyring.none(stored.path), role: roleOf(stored, wanted) };
  const revocations = new Revocations();
  const { authority } = keys;
  let keeper: IdentityKeeper | undefined;
  let identity: () => Promise<Identity | undefined>;
  if (stored && metadata) {
    const kept = keeperOf(stored, role, metadata, log, async () => kept.identity, revocations);
    keeper = kept;
    identity = async () => kept.identity;
  } else if (stored) {
    identity = async () => stored.identity;
  } else {
    // Who holds the cluster's key is an administrator, and no export binds it more than one.
    const own = role === 'client' ? 'admin' : role;
    identity = authority ? ownIdentity(authority, own, wallMs) : async () => undefined;
  }
  const network = new TlsNetwork({ tcp: tcpNetwork, log, identity, revocations });
  return { network, keys, role, revocations, keeper };
}

/** How a process proves that it has this identity. */
export function accessOf(identity: Identity, log: Logger): Pick<MemberAccess, 'network' | 'revocations'> {
  const revocations = new Revocations();
  return {
    network: new TlsNetwork({ tcp: tcpNetwork, log, identity: async () => identity, revocations }),
    revocations,
  };
}

/**
 * How the metadata server proves what it is: by certificates that it makes of the cluster's key. It alone judges whether those of others
 * have expired, by the clock as it was when it began: one that is set later shuts nobody out.
 */
export function serverAccess(keys: Keyring, log: Logger): Pick<MemberAccess, 'network' | 'revocations'> {
  const revocations = new Revocations();
  const nowMs = steadyClock(systemClock);
  const identity = keys.authority ? ownIdentity(keys.authority, 'metadata', nowMs) : async () => undefined;
  return { network: new TlsNetwork({ tcp: tcpNetwork, log, identity, nowMs, revocations }), revocations };
}

function wallMs(): number {
  return systemClock.now().sec * 1000;
}

/** Certificates that the holder of the cluster's key makes for itself, one after the other. */
function ownIdentity(
  authority: CertificateAuthority,
  role: MemberRole,
  nowMs: () => number,
): () => Promise<Identity> {
  let made: Promise<Identity> | undefined;
  let untilMs = 0;
  return async () => {
    if (!made || nowMs() > untilMs) {
      untilMs = nowMs() + SELF_ISSUED_MS * PART_USED;
      made = selfIssued(authority, role, machineName(), nowMs(), SELF_ISSUED_MS);
    }
    return await made;
  };
}

/** EACCES when this machine is a member, but not as what is wanted. */
function requireOtherRole(wanted: Role): void {
  const held = storedIdentities().map(({ path, identity }) => `${identity.member.role} (${path})`);
  if (held.length === 0) return;
  throw new DfsError(
    'EACCES',
    `this machine is a member of its cluster as ${held.join(' and ')}, and this needs the role ${wanted}; ask an administrator for a token: dfs token create --role ${wanted}`,
  );
}

function roleOf({ identity }: StoredIdentity, wanted: Role): Role {
  const { role } = identity.member;
  return role === 'metadata' ? wanted : role;
}

function keeperOf(
  { path, identity }: StoredIdentity,
  role: Role,
  endpoint: Endpoint,
  log: Logger,
  current: () => Promise<Identity>,
  revocations: Revocations,
): IdentityKeeper {
  const renew = async (publicKey: KeyObject): Promise<string> => {
    const network = new TlsNetwork({ tcp: tcpNetwork, log, identity: current, revocations });
    const client = new RpcClient({
      network,
      clock: systemClock,
      random: systemRandom,
      log,
      endpoint,
      keys: Keyring.none(path),
      role,
      server: 'metadata',
    });
    try {
      const connection = await client.connect(systemClock.monotonicMs() + RENEW_TIMEOUT_MS);
      const spki = publicKey.export({ format: 'der', type: 'spki' });
      return (await connection.call(renewCertificate, { publicKey: spki }, { timeoutMs: RENEW_TIMEOUT_MS }))
        .reply.certificate;
    } finally {
      client.close();
    }
  };
  return new IdentityKeeper({
    clock: systemClock,
    log,
    nowMs: wallMs,
    identity,
    renew,
    save: async renewed => await saveIdentity(path, renewed),
  });
}
