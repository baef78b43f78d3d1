/** By which commands bytes leave a data node, and that none of them does without the metadata server's grant. */
import { randomBytes } from 'node:crypto';
import t from 'tap';
import { DataNode } from '../../../src/datanode/data-node.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import type { Command, ReplyOf, RequestOf } from '../../../src/protocol/command.js';
import { locate, read, readparts, write } from '../../../src/protocol/datanode-commands.js';
import { signGrant } from '../../../src/protocol/grant-signature.js';
import { payloadBytes } from '../../../src/platform/payload.js';
import { expiryOf, ReadGrantKey, readGrantAt } from '../../../src/protocol/read-grants.js';
import { clientOf, startRegistry } from './registry.js';
import { randomChunk, silent, temporaryDirectory } from './store-fixture.js';
import { TEST_KEYS } from '../../support/test-keys.js';

const options = { timeoutMs: 30_000 };
const LENGTH = 20_000;

t.test('a chunk is read, and its place told, with the metadata server’s grant for it alone', async t => {
  const registry = await startRegistry(t);
  const directory = await temporaryDirectory(t);
  const platform = {
    network: tcpNetwork,
    clock: systemClock,
    random: systemRandom,
    log: silent,
    keys: TEST_KEYS,
  };
  const node = new DataNode({ ...platform, metadata: registry.endpoint, directory, port: 0, disk: nodeDisk });
  t.teardown(async () => await node.close());
  await node.start();
  const connection = await clientOf(t, node.endpoint).connect(0);
  const ask = async <C extends Command>(command: C, request: RequestOf<C>): Promise<ReplyOf<C>> => {
    const { reply } = await connection.call(command, request, options);
    return reply as ReplyOf<C>;
  };
  const chunks = [randomChunk(1, LENGTH), randomChunk(2, LENGTH)];
  for (const { chunk, table: checksums, payload } of chunks) {
    const grant = registry.grant(chunk, [node.nodeNumber]);
    const request = { grant, checksums, inode: 1, fileOffset: 0, forward: [], durable: false };
    await connection.call(write, request, { ...options, payload });
  }

  const writeGrant = registry.grant(1, [node.nodeNumber]);
  const good = registry.readGrant(1);
  const signedAsWrite = signGrant(registry.key, { ...writeGrant, expiresMs: expiryOf(good) });
  const longer = Buffer.from(good);
  longer.writeUInt8((longer.readUInt8(5) + 1) & 0xff, 5);
  const bad: Record<string, Buffer> = {
    'no grant': Buffer.alloc(good.length),
    'that of another chunk': registry.readGrant(2),
    'that of another cluster': readGrantAt(new ReadGrantKey(randomBytes(32)).sign([1], expiryOf(good)), 0),
    'an expired one': registry.readGrant(1, Date.now() - 1),
    'one with another expiry': longer,
    'the signature of a grant to write it': Buffer.concat([good.subarray(0, 8), signedAsWrite]),
  };
  const part = { chunk: 1, offset: 5, length: 1000 };
  for (const [what, grant] of Object.entries(bad)) {
    const refused = { code: 'EACCES' };
    await t.rejects(ask(read, { ...part, grant }), refused, `read: ${what}`);
    await t.rejects(ask(locate, { chunk: 1, grant }), refused, `locate: ${what}`);
    const other = { ...part, chunk: 2, grant: registry.readGrant(2) };
    const parts = [{ ...part, grant }, other, { ...part, grant }, other];
    const { reply, payload } = await connection.call(readparts, { parts }, options);
    t.same(
      reply.read.map(({ index }) => index),
      [1, 3],
      `readparts: ${what}`,
    );
    const bytes = chunks[1]?.bytes.subarray(5, 1005) ?? Buffer.alloc(0);
    t.ok(Buffer.concat(payload).equals(Buffer.concat([bytes, bytes])), 'and the granted ones are these');
  }
  await t.rejects(connection.call(read, part as RequestOf<typeof read>, options), { code: 'EPROTO' });

  const { payload } = await connection.call(read, { ...part, grant: good }, options);
  t.equal(payloadBytes(payload), 1000);
  t.equal((await ask(locate, { chunk: 1, grant: good })).length, LENGTH);
});
