/**
 * A data node as a process of its own, to be killed. Says `listening NUMBER PORT` when it is ready.
 *
 *     node datanode-driver.js METADATA_PORT DIRECTORY
 */
import { DataNode } from '../../src/datanode/data-node.js';
import { systemClock } from '../../src/platform/clock.js';
import { nodeDisk } from '../../src/platform/disk.js';
import { createLogger } from '../../src/platform/log.js';
import { tcpNetwork } from '../../src/platform/network.js';
import { systemRandom } from '../../src/platform/random.js';
import { TEST_KEYS } from '../support/test-keys.js';

const [metadataPort, directory] = process.argv.slice(2);
if (metadataPort === undefined || directory === undefined) throw new Error('usage: METADATA_PORT DIRECTORY');

const node = new DataNode({
  metadata: { host: '127.0.0.1', port: Number(metadataPort) },
  directory,
  port: 0,
  network: tcpNetwork,
  clock: systemClock,
  random: systemRandom,
  keys: TEST_KEYS,
  disk: nodeDisk,
  log: createLogger('data-node', 'error'),
});
await node.start();
process.stdout.write(`listening ${node.nodeNumber} ${node.endpoint.port}\n`);
process.once('SIGTERM', () => void node.close().then(() => process.exit(0)));
