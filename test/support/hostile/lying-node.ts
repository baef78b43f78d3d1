/** A data node in the hands of a test: it registers with a real metadata server, stores what it is given, and answers as it likes. */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/log.js';
import { tcpNetwork, type Endpoint } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { computeChecksums } from '../../../src/protocol/checksum.js';
import { heartbeat, inventory, reg } from '../../../src/protocol/cluster-commands.js';
import type { Command, ReplyOf, RequestOf } from '../../../src/protocol/command.js';
import { info, locate, read, readparts, write } from '../../../src/protocol/datanode-commands.js';
import { HEARTBEAT_MS } from '../../../src/protocol/limits.js';
import { RpcClient } from '../../../src/rpc/client.js';
import { Routes, withPayload } from '../../../src/rpc/routes.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { TEST_KEYS } from '../test-keys.js';

const PLATFORM = {
  network: tcpNetwork,
  clock: systemClock,
  random: systemRandom,
  log: createLogger('test', 'silent'),
  keys: TEST_KEYS,
};
const GIB = 2 ** 30;
const CALL = { timeoutMs: 20_000 };

/** What it does instead of telling the truth. */
export interface Lies {
  /** The bytes of a chunk that it hands out, with checksums that fit them. */
  bytes?(stored: Buffer, chunk: number): Buffer;
  /** The checksums of whole chunks that it tells; default: those of the bytes that it hands out. */
  table?(stored: Buffer): Buffer;
  /** How many bytes it sends of those asked for. */
  cut?(bytes: Buffer): Buffer;
  /** Which nodes have taken a chunk. */
  stored?(node: number): number[];
}

type Registration = Omit<RequestOf<typeof reg>, 'id' | 'cluster' | 'host' | 'port'>;

export class LyingNode {
  readonly id = randomBytes(8).toString('hex');
  /** chunk → its bytes */
  readonly chunks = new Map<number, Buffer>();
  lies: Lies = {};
  node = 0;
  readonly #rpc: RpcClient;
  readonly #server: RpcServer;

  private constructor(metadata: Endpoint) {
    this.#rpc = new RpcClient({ ...PLATFORM, role: 'node', server: 'metadata', endpoint: metadata });
    this.#server = new RpcServer({
      ...PLATFORM,
      kind: 'data',
      endpoint: { host: '127.0.0.1', port: 0 },
      routes: this.#routes(),
    });
  }

  /** Registers with the metadata server, and is a live node until the test ends. */
  static async start(t: Test, metadata: Endpoint): Promise<LyingNode> {
    const node = new LyingNode(metadata);
    await node.#server.start();
    t.teardown(async () => {
      node.#rpc.close();
      await node.#server.close();
    });
    await node.register();
    const beating = setInterval(() => void node.beat().catch(() => undefined), HEARTBEAT_MS);
    t.teardown(() => clearInterval(beating));
    return node;
  }

  async register(
    space: Registration = { totalBytes: GIB, freeBytes: GIB, chunks: 0 },
  ): Promise<ReplyOf<typeof reg>> {
    const { host, port } = this.#server.endpoint;
    const registered = await this.ask(reg, { id: this.id, cluster: '', host, port, ...space });
    this.node = registered.node;
    return registered;
  }

  async beat(told: Partial<RequestOf<typeof heartbeat>> = {}): Promise<ReplyOf<typeof heartbeat>> {
    const { node, id } = this;
    const space = { totalBytes: GIB, freeBytes: GIB, chunks: this.chunks.size };
    return await this.ask(heartbeat, { node, id, ...space, dropped: [], ...told });
  }

  async report(told: Partial<RequestOf<typeof inventory>>): Promise<ReplyOf<typeof inventory>> {
    const { node, id } = this;
    const all = { after: 0, chunks: Buffer.alloc(0), until: Number.MAX_SAFE_INTEGER, absent: [] };
    return await this.ask(inventory, { node, id, ...all, ...told });
  }

  /** Asks the metadata server, on the one connection of the node. */
  async ask<C extends Command>(command: C, request: RequestOf<C>): Promise<ReplyOf<C>> {
    const connection = await this.#rpc.connect(systemClock.monotonicMs() + CALL.timeoutMs);
    const { reply } = await connection.call(command, request, CALL);
    return reply as ReplyOf<C>;
  }

  #routes(): Routes {
    return new Routes()
      .on(write, async ({ grant }, { payload }) => {
        this.chunks.set(grant.chunk, Buffer.concat(payload));
        return await Promise.resolve({ stored: this.lies.stored?.(this.node) ?? [this.node], failed: [] });
      })
      .on(read, async ({ chunk, offset, length, wantsTable }) => {
        const part = this.#part(chunk, offset, length);
        const table = wantsTable === true ? { table: this.#table(chunk) } : {};
        return await Promise.resolve(
          withPayload({ checksums: computeChecksums([part], offset), ...table }, [part]),
        );
      })
      .on(readparts, async ({ parts }) => {
        const found = parts.map(({ chunk, offset, length }) => this.#part(chunk, offset, length));
        const told = found.map((part, index) => ({ index, checksums: computeChecksums([part]) }));
        return await Promise.resolve(withPayload({ read: told }, found));
      })
      .on(info, async () => {
        const space = { totalBytes: GIB, freeBytes: GIB, chunks: 0, segments: 0 };
        return await Promise.resolve({
          id: this.id,
          node: this.node,
          cluster: '',
          advertised: '127.0.0.1',
          ...space,
        });
      })
      .on(locate, async ({ chunk }) => {
        const place = { file: 'segments/00000001.seg', offset: 0, length: this.#bytes(chunk).length };
        return await Promise.resolve({ ...place, checksums: this.#table(chunk) });
      });
  }

  #bytes(chunk: number): Buffer {
    const stored = this.chunks.get(chunk) ?? Buffer.alloc(1);
    return this.lies.bytes?.(stored, chunk) ?? stored;
  }

  #part(chunk: number, offset: number, length: number): Buffer {
    const part = this.#bytes(chunk).subarray(offset, offset + length);
    return this.lies.cut?.(part) ?? part;
  }

  #table(chunk: number): Buffer {
    const stored = this.chunks.get(chunk) ?? Buffer.alloc(1);
    return this.lies.table?.(stored) ?? computeChecksums([this.#bytes(chunk)]);
  }
}
