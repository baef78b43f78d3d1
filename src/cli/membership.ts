/** Becomes a member of a cluster, and stops being one. */
import { identityOf, newKeyPair, type Identity } from '../identity/identity.js';
import { JoiningNetwork } from '../identity/joining-network.js';
import { publicKeyOfSpki, spkiOf } from '../identity/ed25519.js';
import { tokenProofKey } from '../identity/token-proof.js';
import { systemClock } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import { tcpNetwork, type Endpoint } from '../platform/network.js';
import { systemRandom } from '../platform/random.js';
import { DfsError } from '../protocol/errors.js';
import { join, leave } from '../protocol/member-commands.js';
import type { Role } from '../protocol/roles.js';
import { isConnectionError, RpcClient } from '../rpc/client.js';
import { Keyring } from '../rpc/keyring.js';
import type { JoinToken } from './join-token.js';
import { accessOf } from './member-access.js';

const TIMEOUT_MS = 20_000;

/** By what somebody may become a member: a token, or the key of a role. */
export interface Admission {
  readonly role: Role;
  readonly by: JoinToken | Keyring;
}

/**
 * Makes this machine a member, and returns its identity, which is nowhere written yet. EACCES when the token or the key does not count,
 * EEXIST when there is a member of that name, a connection error.
 */
export async function joinCluster(
  endpoint: Endpoint,
  { role, by }: Admission,
  name: string,
  log: Logger,
): Promise<Identity> {
  const token = by instanceof Keyring ? undefined : by;
  const { publicKey, privateKey } = newKeyPair();
  const client = new RpcClient({
    network: new JoiningNetwork({ tcp: tcpNetwork, authority: token?.authority }),
    clock: systemClock,
    random: systemRandom,
    log,
    endpoint,
    keys: by instanceof Keyring ? by : Keyring.none('the token'),
    role,
    server: 'metadata',
    ...(token ? { token: { id: token.id, secret: tokenProofKey(token.secret) } } : {}),
  });
  try {
    const connection = await client.connect(systemClock.monotonicMs());
    const { reply } = await connection.call(
      join,
      { name, publicKey: spkiOf(publicKey) },
      { timeoutMs: TIMEOUT_MS },
    );
    return identityOf(reply.certificate, privateKey, token?.authority ?? publicKeyOfSpki(reply.authority));
  } finally {
    client.close();
  }
}

/**
 * The identity counts nowhere any more. Returns false when no metadata server answered, so that the cluster knows nothing of it.
 */
export async function leaveCluster(endpoint: Endpoint, identity: Identity, log: Logger): Promise<boolean> {
  const { role } = identity.member;
  if (role === 'metadata') throw new DfsError('EPERM', 'the metadata server does not leave its cluster');
  const { network } = accessOf(identity, log);
  const keys = Keyring.none('the certificate');
  const client = new RpcClient({
    network,
    clock: systemClock,
    random: systemRandom,
    log,
    endpoint,
    keys,
    role,
    server: 'metadata',
  });
  try {
    const connection = await client.connect(systemClock.monotonicMs());
    await connection.call(leave, {}, { timeoutMs: TIMEOUT_MS });
    return true;
  } catch (error) {
    if (isConnectionError(error)) return false;
    throw error;
  } finally {
    client.close();
  }
}
