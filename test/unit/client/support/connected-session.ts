/** A client's session at a metadata server in this process. */
import type { Test } from 'tap';
import { divideCache } from '../../../../src/client/caches/cache-sizes.js';
import { MetadataSession } from '../../../../src/client/session/metadata-session.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { createLogger } from '../../../../src/platform/log.js';
import { tcpNetwork, type Endpoint, type Network } from '../../../../src/platform/network.js';
import { systemRandom } from '../../../../src/platform/random.js';
import type { Role } from '../../../../src/protocol/roles.js';
import { AS_CLIENT } from '../../../support/test-keys.js';

/** Begins a session, which ends with the test. */
export async function connectSession(
  t: Test,
  metadata: Endpoint,
  network: Network = tcpNetwork,
  role: Role = AS_CLIENT.role,
): Promise<MetadataSession> {
  const session = new MetadataSession({
    network,
    metadata,
    ...AS_CLIENT,
    role,
    clock: systemClock,
    random: systemRandom,
    log: createLogger('test', 'silent'),
    timeoutMs: 20_000,
    clientName: 'test',
    cacheSizes: divideCache(1 << 20),
  });
  t.teardown(async () => await session.close());
  await session.start();
  return session;
}
