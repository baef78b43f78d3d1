/** A client library, connected to a metadata server in this process. */
import type { Test } from 'tap';
import { Client } from '../../../../src/client/client.js';
import type { MetadataServer } from '../../../../src/metadata/metadata-server.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { createLogger } from '../../../../src/platform/log.js';
import { tcpNetwork } from '../../../../src/platform/network.js';
import { systemRandom } from '../../../../src/platform/random.js';
import type { VfsOptions } from '../../../../src/vfs/vfs-options.js';
import { AS_CLIENT } from '../../../support/test-keys.js';

/** Begins a session, which ends with the test. */
export async function connectClient(
  t: Test,
  server: MetadataServer,
  more: Partial<VfsOptions> = {},
): Promise<{ readonly client: Client; readonly options: VfsOptions }> {
  const options = {
    network: tcpNetwork,
    clock: systemClock,
    random: systemRandom,
    log: createLogger('test', 'silent'),
    ...AS_CLIENT,
    metadata: server.endpoint,
    goal: 1,
    timeoutMs: 20_000,
    dirtyBytes: 1 << 20,
    cacheBytes: 1 << 20,
    readAheadBytes: 0,
    chunkBytes: 64 << 10,
    clientName: 'test',
    ...more,
  };
  const client = await Client.open(options);
  t.teardown(async () => await client.close());
  return { client, options };
}
