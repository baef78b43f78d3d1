/**
 * The other end of a data node's tie to the metadata server, in the hands of the test: answers `reg` and `heartbeat` as
 * the wire contract says, gives grants for any chunk to any nodes, and orders chunks to be dropped when told to.
 */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { systemClock } from '../../../src/platform/clock.js';
import { tcpNetwork, type Endpoint } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { signGrant } from '../../../src/protocol/grant-signature.js';
import { ReadGrantKey, readGrantAt } from '../../../src/protocol/read-grants.js';
import { heartbeat, reg } from '../../../src/protocol/cluster-commands.js';
import type { ReplyOf, RequestOf } from '../../../src/protocol/command.js';
import type { Grant } from '../../../src/protocol/types.js';
import { RpcClient } from '../../../src/rpc/client.js';
import { Routes } from '../../../src/rpc/routes.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { silent } from './store-fixture.js';
import { TEST_KEYS } from '../../support/test-keys.js';
import type { Role } from '../../../src/protocol/roles.js';
import type { ServerKind } from '../../../src/rpc/keyring.js';

const platform = {
  network: tcpNetwork,
  clock: systemClock,
  random: systemRandom,
  log: silent,
  keys: TEST_KEYS,
};

export class Registry {
  readonly key = randomBytes(32);
  readonly cluster = 'c1';
  /** identity → number */
  readonly numbers = new Map<string, number>();
  readonly registrations: RequestOf<typeof reg>[] = [];
  readonly beats: RequestOf<typeof heartbeat>[] = [];
  /** Chunks that every heartbeat reply orders to be dropped, until they are reported gone. */
  readonly toDrop = new Set<number>();
  /** By how much its clock is ahead of the nodes'. */
  aheadMs = 0;
  refusal = '';
  isForgetful = false;
  #server: RpcServer | undefined;

  async start(port = 0): Promise<void> {
    const routes = new Routes()
      .on(reg, async (request): Promise<ReplyOf<typeof reg>> => {
        this.registrations.push(request);
        this.isForgetful = false;
        const known = this.numbers.get(request.id);
        const node = known ?? this.numbers.size + 1;
        this.numbers.set(request.id, node);
        const result = this.refusal === '' ? (known === undefined ? 'ACK' : 'DUP') : 'NAK';
        const proof = Buffer.alloc(16, node);
        const granted = { cluster: this.cluster, grantKey: this.key, proof, serverMs: this.nowMs };
        return { result, reason: this.refusal, node, ...granted };
      })
      .on(heartbeat, async request => {
        this.beats.push(request);
        for (const chunk of request.dropped) this.toDrop.delete(chunk);
        return { known: !this.isForgetful, drop: [...this.toDrop], serverMs: this.nowMs };
      });
    this.#server = new RpcServer({
      ...platform,
      kind: 'metadata',
      endpoint: { host: '127.0.0.1', port },
      routes,
    });
    await this.#server.start();
  }

  get endpoint(): Endpoint {
    if (!this.#server) throw new Error('not started');
    return this.#server.endpoint;
  }

  get nowMs(): number {
    return Date.now() + this.aheadMs;
  }

  async stop(): Promise<void> {
    await this.#server?.close();
  }

  /** Permission to read a chunk. */
  readGrant(chunk: number, expiresMs = Date.now() + 60_000): Buffer {
    return readGrantAt(new ReadGrantKey(this.key).sign([chunk], expiresMs), 0);
  }

  grant(chunk: number, nodes: readonly number[], changes: Partial<Omit<Grant, 'signature'>> = {}): Grant {
    const grant = { chunk, nodes: [...nodes], maxBytes: 4 << 20, expiresMs: this.nowMs + 60_000, ...changes };
    return { ...grant, signature: signGrant(this.key, grant) };
  }
}

export async function startRegistry(t: Test): Promise<Registry> {
  const registry = new Registry();
  await registry.start();
  t.teardown(async () => await registry.stop());
  return registry;
}

/** A client of one server, closed at the end of the test. */
export function clientOf(
  t: Test,
  endpoint: Endpoint,
  server: ServerKind = 'data',
  role: Role = 'client',
): RpcClient {
  const client = new RpcClient({ ...platform, role, server, endpoint });
  t.teardown(() => client.close());
  return client;
}

/** Resolves when `condition` holds; fails after ten seconds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ten seconds`);
    await new Promise(resolve => {
      setTimeout(resolve, 10);
    });
  }
}
