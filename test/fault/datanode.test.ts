/** kill -9 of data nodes while clients write: every acknowledged chunk is there when they are started again. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { computeChecksums } from '../../src/protocol/checksum.js';
import { read, write } from '../../src/protocol/datanode-commands.js';
import type { NodeAddress } from '../../src/protocol/types.js';
import type { RpcClient } from '../../src/rpc/client.js';
import { ascending } from '../support/ascending.js';
import { clientOf, startRegistry, type Registry } from '../unit/datanode/registry.js';
import { temporaryDirectory } from '../unit/datanode/store-fixture.js';
import { bytesOf } from './datanode-chunks.js';

const DRIVER = fileURLToPath(new URL('datanode-driver.js', import.meta.url));
const CHUNK_BYTES = 300_000;
const WRITERS = 6;

interface Process {
  readonly child: ChildProcess;
  readonly address: NodeAddress;
  readonly client: RpcClient;
}

async function startProcess(t: Test, registry: Registry, directory: string): Promise<Process> {
  const child = spawn(process.execPath, [DRIVER, String(registry.endpoint.port), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout })) {
    const [, node, port] = line.split(' ');
    const address = { node: Number(node), host: '127.0.0.1', port: Number(port) };
    return { child, address, client: clientOf(t, address) };
  }
  throw new Error('the data node did not start');
}

async function exit(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  return await new Promise(resolve => {
    child.once('exit', resolve);
  });
}

t.test('kill -9 of both nodes of a chain in the middle of writes', async t => {
  const registry = await startRegistry(t);
  const directories = [await temporaryDirectory(t), await temporaryDirectory(t)];
  /** chunk id → nodes that acknowledged it */
  const acknowledged = new Map<number, number[]>();
  let nextId = 1;
  for (let round = 0; round < 3; round += 1) {
    const [first, second] = await Promise.all(
      directories.map(async directory => await startProcess(t, registry, directory)),
    );
    if (!first || !second) throw new Error('two nodes');
    const nodes = [first.address.node, second.address.node];
    const stopAt = acknowledged.size + 60;
    const writer = async (): Promise<void> => {
      for (;;) {
        const id = (nextId += 1);
        const bytes = bytesOf(id, CHUNK_BYTES);
        try {
          const connection = await first.client.connect(0);
          const { reply } = await connection.call(
            write,
            {
              grant: registry.grant(id, nodes),
              checksums: computeChecksums([bytes]),
              inode: 1,
              fileOffset: 0,
              forward: [second.address],
              durable: id % 2 === 0,
            },
            { payload: [bytes], timeoutMs: 10_000 },
          );
          acknowledged.set(id, reply.stored);
        } catch {
          return; // the node is dead, as intended
        }
        if (acknowledged.size === stopAt) {
          first.child.kill('SIGKILL');
          second.child.kill('SIGKILL');
        }
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, writer));
    await Promise.all([exit(first.child), exit(second.child)]);
    const restarted = await Promise.all(
      directories.map(async directory => await startProcess(t, registry, directory)),
    );
    const lost: string[] = [];
    for (const { address, client } of restarted) {
      const connection = await client.connect(0);
      for (const [id, stored] of acknowledged) {
        if (!stored.includes(address.node)) continue;
        const { payload } = await connection
          .call(
            read,
            { chunk: id, offset: 0, length: CHUNK_BYTES, grant: registry.readGrant(id) },
            { timeoutMs: 10_000 },
          )
          .catch(() => ({ payload: [] }));
        if (!Buffer.concat(payload).equals(bytesOf(id, CHUNK_BYTES))) lost.push(`${id} on ${address.node}`);
      }
    }
    t.same(lost, [], `round ${round}: ${acknowledged.size} chunks were acknowledged`);
    t.same(
      restarted.map(({ address }) => address.node).sort(ascending),
      [1, 2],
      'the nodes are the same as before',
    );
    for (const { child } of restarted) {
      child.kill('SIGTERM');
      t.equal(await exit(child), 0, 'SIGTERM ends a node in order');
    }
  }
});
