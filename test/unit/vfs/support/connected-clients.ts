/** A metadata server in this process, and clients of it, whose cable can be pulled. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { DataNode } from '../../../../src/datanode/data-node.js';
import { createDatabase } from '../../../../src/metadata/create-database.js';
import { MetadataServer } from '../../../../src/metadata/metadata-server.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { nodeDisk, type Disk } from '../../../../src/platform/disk.js';
import { createLogger } from '../../../../src/platform/log.js';
import {
  tcpNetwork,
  type ByteStream,
  type Endpoint,
  type Network,
} from '../../../../src/platform/network.js';
import { systemRandom } from '../../../../src/platform/random.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import type { VfsOptions } from '../../../../src/vfs/vfs-options.js';
import { Vfs } from '../../../../src/vfs/vfs.js';
import { AS_CLIENT, TEST_KEYS } from '../../../support/test-keys.js';

const PLATFORM = {
  clock: systemClock,
  random: systemRandom,
  log: createLogger('test', 'silent'),
  ...AS_CLIENT,
};
const ANY_PORT = { host: '127.0.0.1', port: 0 };

/** A network whose cable can be pulled. */
export class Cable implements Network {
  /** Where each leads to. */
  readonly #streams = new Map<ByteStream, number>();
  #isCut: (port: number) => boolean = () => false;

  listen = tcpNetwork.listen.bind(tcpNetwork);

  async connect(...parameters: Parameters<Network['connect']>): Promise<ByteStream> {
    const [{ port }] = parameters;
    if (this.#isCut(port)) throw new DfsError('EHOSTUNREACH', 'the cable is cut');
    const bytes = await tcpNetwork.connect(...parameters);
    this.#streams.set(bytes, port);
    return bytes;
  }

  /** @param only the port of the one server that is not reached any more; all when left out */
  cut(only?: number): void {
    this.#isCut = port => only === undefined || port === only;
    for (const [bytes, port] of this.#streams) {
      if (!this.#isCut(port)) continue;
      this.#streams.delete(bytes);
      bytes.stream.destroy();
    }
  }

  mend(): void {
    this.#isCut = () => false;
  }
}

/** A metadata server whose power can fail: it goes on with what its disk had at an earlier moment. */
export class PowerCut {
  readonly #databasePath: string;
  #server: MetadataServer;

  private constructor(databasePath: string) {
    this.#databasePath = databasePath;
    this.#server = this.#create(ANY_PORT);
  }

  static async start(t: Test): Promise<PowerCut> {
    const directory = await mkdtemp(join(tmpdir(), 'dfs-power-'));
    const databasePath = join(directory, 'metadata.db');
    await createDatabase(databasePath, PLATFORM);
    const powered = new PowerCut(databasePath);
    t.teardown(async () => {
      await powered.#server.close();
      await rm(directory, { recursive: true, force: true });
    });
    await powered.#server.start();
    return powered;
  }

  /** The one that runs now. */
  get server(): MetadataServer {
    return this.#server;
  }

  /** What the server has now is what its disk has when the power fails. */
  async remember(): Promise<void> {
    await this.#restart(async () => await copyFile(this.#databasePath, `${this.#databasePath}.image`));
  }

  /** What came after `remember` is gone. */
  async fail(): Promise<void> {
    await this.#restart(async () => await copyFile(`${this.#databasePath}.image`, this.#databasePath));
  }

  async #restart(meanwhile: () => Promise<void>): Promise<void> {
    const { endpoint } = this.#server;
    await this.#server.close();
    await meanwhile();
    this.#server = this.#create(endpoint);
    await this.#server.start();
  }

  #create(endpoint: Endpoint): MetadataServer {
    const options = {
      databasePath: this.#databasePath,
      endpoint,
      durability: 'group',
      network: tcpNetwork,
    } as const;
    return new MetadataServer({ ...PLATFORM, ...options });
  }
}

/** A data node of the server's cluster. */
export async function startDataNode(
  t: Test,
  server: MetadataServer,
  disk: Disk = nodeDisk,
): Promise<DataNode> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-node-'));
  const options = {
    network: tcpNetwork,
    keys: TEST_KEYS,
    metadata: server.endpoint,
    directory,
    port: 0,
    disk,
  };
  const node = new DataNode({ ...PLATFORM, ...options });
  t.teardown(async () => {
    await node.close();
    await rm(directory, { recursive: true, force: true });
  });
  await node.start();
  return node;
}

export async function serve(t: Test): Promise<MetadataServer> {
  return (await PowerCut.start(t)).server;
}

const MEMORY = { dirtyBytes: 1 << 20, cacheBytes: 1 << 20, readAheadBytes: 0, chunkBytes: 1 << 20 };

export async function connect(
  t: Test,
  server: MetadataServer,
  network: Network = tcpNetwork,
  { clock = systemClock, timeoutMs = 20_000, ...memory }: Partial<VfsOptions> = {},
): Promise<Vfs> {
  const vfs = await Vfs.open({
    ...PLATFORM,
    ...MEMORY,
    ...memory,
    clock,
    network,
    metadata: server.endpoint,
    goal: 1,
    timeoutMs,
    clientName: 'test',
    onMisprediction: (foretold, actual) =>
      t.same(foretold, actual, 'the client foretells what the server does'),
  });
  t.teardown(async () => await vfs.close());
  return vfs;
}
