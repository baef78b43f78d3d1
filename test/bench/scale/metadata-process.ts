/** A real metadata server on a database that was filled, with data nodes that are alive and do nothing. */
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/log.js';
import { tcpNetwork, type Endpoint } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { HEARTBEAT_MS } from '../../../src/protocol/limits.js';
import { heartbeat, reg, repairStatus } from '../../../src/protocol/cluster-commands.js';
import { divideCache } from '../../../src/client/caches/cache-sizes.js';
import { MetadataSession } from '../../../src/client/session/metadata-session.js';
import { RpcClient } from '../../../src/rpc/client.js';
import { environmentFor } from '../../support/programs.js';
import { ServerProcess } from '../../support/server-process.js';
import { waitUntil } from '../../support/wait-until.js';
import type { RecordedNode } from './filled-database.js';
import { DEFAULT_CACHE_BYTES } from '../../../src/vfs/vfs-options.js';
import type { Keyring } from '../../../src/rpc/keyring.js';
import { readKeyFile } from '../../../src/cli/key-file.js';

const CALL_MS = 30_000;
const SCAN_MS = 600_000;
const LARGE_DISK_BYTES = 1e15;

const surroundings = {
  network: tcpNetwork,
  clock: systemClock,
  random: systemRandom,
  log: createLogger('scale', 'silent'),
};

/** The nodes on whose disks the files of a filled database are. */
export const STANDING_NODES: readonly RecordedNode[] = [1, 2, 3].map(node => ({
  node,
  id: `standing-node-${node}`,
}));

/** Registers a node and says every second that it lives; what its disk holds nobody asks. */
class StandingNode {
  readonly #node: RecordedNode;
  readonly #rpc: RpcClient;
  #timer: NodeJS.Timeout | undefined;

  constructor(node: RecordedNode, endpoint: Endpoint, keys: Keyring) {
    this.#node = node;
    this.#rpc = new RpcClient({ ...surroundings, keys, role: 'node', server: 'metadata', endpoint });
  }

  async start(): Promise<void> {
    const { node, id } = this.#node;
    const connection = await this.#rpc.connect(systemClock.monotonicMs() + CALL_MS);
    const space = { totalBytes: LARGE_DISK_BYTES, freeBytes: LARGE_DISK_BYTES, chunks: 0 };
    const where = { host: '127.0.0.1', port: node, domain: `machine${node}` };
    const { reply } = await connection.call(
      reg,
      { id, cluster: '', ...where, ...space },
      { timeoutMs: CALL_MS },
    );
    if (reply.result === 'NAK') throw new Error(`the metadata server refuses a node: ${reply.reason}`);
    this.#timer = setInterval(() => {
      // A server that ends answers no more.
      connection
        .call(heartbeat, { node, id, ...space, dropped: [] }, { timeoutMs: CALL_MS })
        .catch(() => undefined);
    }, HEARTBEAT_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#rpc.close();
  }
}

export class FilledServer {
  readonly process: ServerProcess;
  /** From the start of the process until it answered. */
  startMs = 0;
  readonly #nodes: StandingNode[] = [];

  constructor(databasePath: string, options: readonly string[] = []) {
    const directory = dirname(databasePath);
    this.process = new ServerProcess({
      name: 'metadata',
      program: 'meta-data',
      // Backups would go to nodes that are none.
      parameters: port => [String(port), '--db', databasePath, '--backup-interval=0', ...options],
      directory,
      logPath: join(directory, 'metadata.log'),
      env: environmentFor(join(directory, 'home')),
    });
  }

  /** Starts it, and waits until it has looked at every chunk as it does after a start. */
  async start(nodes: readonly RecordedNode[] = STANDING_NODES): Promise<void> {
    await mkdir(this.process.directory, { recursive: true });
    const startedMs = performance.now();
    await this.process.start();
    this.startMs = performance.now() - startedMs;
    for (const node of nodes) {
      const standing = new StandingNode(node, this.process.endpoint, this.#keys);
      this.#nodes.push(standing);
      await standing.start();
    }
    if (nodes.length > 0) await this.#scanned();
  }

  /** A client of it, as a mount is one: it keeps what it is told, so that the server has to remember what that was. */
  async connect(name: string): Promise<MetadataSession> {
    const session = new MetadataSession({
      ...surroundings,
      keys: this.#keys,
      role: 'client',
      metadata: this.process.endpoint,
      timeoutMs: CALL_MS,
      cacheSizes: divideCache(DEFAULT_CACHE_BYTES),
      clientName: name,
    });
    await session.start();
    await session.beginCaching();
    return session;
  }

  async stop(): Promise<void> {
    for (const node of this.#nodes) node.close();
    await this.process.stop();
  }

  /** Made by the process at its first start. */
  get #keys(): Keyring {
    return readKeyFile(join(this.process.directory, 'home', 'key'));
  }

  async #scanned(): Promise<void> {
    const rpc = new RpcClient({
      ...surroundings,
      keys: this.#keys,
      role: 'client',
      server: 'metadata',
      endpoint: this.process.endpoint,
    });
    try {
      const connection = await rpc.connect(systemClock.monotonicMs() + CALL_MS);
      await waitUntil(
        async () => (await connection.call(repairStatus, {}, { timeoutMs: CALL_MS })).reply.isComplete,
        { deadlineMs: SCAN_MS, what: 'the server has looked at every chunk' },
      );
    } finally {
      rpc.close();
    }
  }
}
