/** What a data node answers about its chunks, asked without a network; the next node of a chain is scripted. */
import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { ChunkRequests } from '../../../src/datanode/chunk-requests.js';
import { Pipeline, type WriteRequest, type WriteResult } from '../../../src/datanode/pipeline.js';
import { systemClock } from '../../../src/platform/clock.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { chunksAfter } from '../../../src/protocol/backup-commands.js';
import type { Command, ReplyOf, RequestOf } from '../../../src/protocol/command.js';
import {
  locality,
  locate,
  read,
  readparts,
  replicate,
  syncChunks,
  write,
} from '../../../src/protocol/datanode-commands.js';
import { DfsError } from '../../../src/protocol/errors.js';
import type { Payload } from '../../../src/protocol/frame.js';
import { signGrant } from '../../../src/protocol/grant-signature.js';
import { MAX_CHUNK_BYTES } from '../../../src/protocol/limits.js';
import { ReadGrantKey, readGrantAt } from '../../../src/protocol/read-grants.js';
import { isAnswer, Routes, type PeerConnection } from '../../../src/rpc/routes.js';
import { TEST_KEYS } from '../../support/test-keys.js';
import { refusal } from '../metadata/support/harness.js';
import { FailingDisk, openStore, randomChunk, silent, temporaryDirectory } from './store-fixture.js';

const NODE = 7;
const NEXT = { node: 8, host: '127.0.0.1', port: 1 };
const NOW_MS = 1_700_000_000_000;
const LENGTH = 20_000;

/** A chain behind this node whose outcome the test says. */
class ScriptedPipeline extends Pipeline {
  readonly forwarded: WriteRequest[] = [];
  outcome: WriteResult = { stored: [], failed: [] };

  override async forward(request: WriteRequest): Promise<WriteResult> {
    this.forwarded.push(request);
    return await Promise.resolve(this.outcome);
  }
}

async function node(t: Test, isRegistered = true) {
  const disk = new FailingDisk();
  const store = await openStore(t, await temporaryDirectory(t), { disk });
  const platform = { network: tcpNetwork, clock: systemClock, random: systemRandom, log: silent };
  const pipeline = new ScriptedPipeline({ ...platform, keys: TEST_KEYS });
  const serverTime: { nowMs: number | undefined } = { nowMs: isRegistered ? NOW_MS : undefined };
  const place = { directory: '/data', proof: 'proof' };
  const tell = async (): Promise<ReplyOf<typeof locality>> => await Promise.resolve(place);
  const requests = new ChunkRequests({ store, pipeline, locality: { tell }, serverTime, node: () => NODE });
  const key = randomBytes(32);
  if (isRegistered) requests.takeGrantKey(key);
  const routes = requests.addRequests(new Routes());
  const orders = requests.addOrders(new Routes());
  /** What handlers took room for in the server's memory. */
  const reserved: number[] = [];
  /** How many payloads were said to be of no use any more. */
  const freed = { payloads: 0 };
  const context = {
    freePayload: () => void (freed.payloads += 1),
    // No handler of chunks looks at it.
    connection: undefined as unknown as PeerConnection,
    reserve: async (bytes: number) => void reserved.push(bytes),
  };
  const ask = async <C extends Command>(
    command: C,
    request: RequestOf<C>,
    payload: Payload = [],
    to = routes,
  ): Promise<{ reply: ReplyOf<C>; payload: Payload }> => {
    const answer = await to.require(command.number).handle(request, { ...context, payload });
    const { reply, payload: told } = isAnswer(answer) ? answer : { reply: answer, payload: [] };
    return { reply: reply as ReplyOf<C>, payload: told };
  };
  const grantOf = (chunk: number, nodes = [NODE]) => {
    const grant = { chunk, nodes, maxBytes: MAX_CHUNK_BYTES, expiresMs: NOW_MS + 60_000 };
    return { ...grant, signature: signGrant(key, grant) };
  };
  const readGrant = (chunk: number) => readGrantAt(new ReadGrantKey(key).sign([chunk], NOW_MS + 60_000), 0);
  const put = async (chunk: ReturnType<typeof randomChunk>, changes: Partial<WriteRequest> = {}) => {
    const request = { grant: grantOf(chunk.chunk), checksums: chunk.table, inode: 1, fileOffset: 0 };
    return await ask(write, { ...request, forward: [], durable: false, ...changes }, chunk.payload);
  };
  return { disk, store, pipeline, requests, orders, reserved, freed, ask, grantOf, readGrant, put, key };
}

t.test('a chunk is stored, and read with a grant', async t => {
  const { put, ask, readGrant, reserved } = await node(t);
  const chunk = randomChunk(1, LENGTH);
  t.same((await put(chunk)).reply, { stored: [NODE], failed: [] });
  const part = { chunk: 1, offset: 5, length: 1000, grant: readGrant(1) };
  const { payload } = await ask(read, part);
  t.same(Buffer.concat([...payload]), chunk.bytes.subarray(5, 1005));
  t.same(reserved, [1000], 'its place in memory was taken');
  t.equal(await refusal(ask(read, { ...part, grant: readGrant(2) })), 'EACCES');
  t.equal(await refusal(ask(locate, { chunk: 1, grant: readGrant(2) })), 'EACCES');
  t.equal(await refusal(ask(locate, { chunk: 1, grant: readGrant(1) })), 'OK');
});

t.test('many parts at once: those without a grant, and those that are not there, are left out', async t => {
  const { put, ask, readGrant, reserved } = await node(t);
  const chunks = [randomChunk(1, LENGTH), randomChunk(2, LENGTH)];
  for (const chunk of chunks) await put(chunk);
  const part = (chunk: number, granted = chunk) => ({
    chunk,
    offset: 0,
    length: LENGTH,
    grant: readGrant(granted),
  });
  const asked = [part(1, 2), part(3), part(2), part(1)];
  const { reply, payload } = await ask(readparts, { parts: asked });
  t.same(
    reply.read.map(({ index }) => index),
    [2, 3],
  );
  t.same(
    payload.map(bytes => Buffer.from(bytes)),
    [chunks[1]?.bytes, chunks[0]?.bytes],
  );
  t.same(reserved, [4 * LENGTH]);
  const large = { ...part(1), length: MAX_CHUNK_BYTES };
  t.equal(await refusal(ask(readparts, { parts: [large, part(2)] })), 'EINVAL');
});

t.test('before the first registration nothing is read or written', async t => {
  const { put, ask, readGrant } = await node(t, false);
  t.equal(await refusal(put(randomChunk(1, LENGTH))), 'EAGAIN');
  const part = { chunk: 1, offset: 0, length: 1, grant: readGrant(1) };
  t.equal(await refusal(ask(read, part)), 'EAGAIN');
});

t.test('bytes that do not match their checksums are not stored', async t => {
  const { put, store, pipeline } = await node(t);
  const chunk = randomChunk(1, LENGTH);
  t.equal(await refusal(put({ ...chunk, payload: [randomBytes(LENGTH)] })), 'EBADMSG');
  t.notOk(store.has(1));
  t.same(pipeline.forwarded, [], 'nor passed on');
});

t.test('a chain: who has the chunk, and who has failed', async t => {
  const { put, pipeline, grantOf, disk } = await node(t);
  const chain = { grant: grantOf(1, [NODE, NEXT.node]), forward: [NEXT] };
  pipeline.outcome = { stored: [NEXT.node], failed: [] };
  t.same((await put(randomChunk(1, LENGTH), chain)).reply, { stored: [NODE, NEXT.node], failed: [] });
  t.equal(pipeline.forwarded.length, 1);
  disk.writesFail = true;
  const alone = { grant: grantOf(2, [NODE, NEXT.node]), forward: [NEXT] };
  const { reply } = await put(randomChunk(2, LENGTH), alone);
  t.same(reply.stored, [NEXT.node]);
  t.match(reply.failed, [{ node: NODE, code: 'EIO' }], 'this node is one of those that failed');
  pipeline.outcome = { stored: [], failed: [{ node: NEXT.node, reason: 'for a test', code: 'EIO' }] };
  const nobody = { grant: grantOf(3, [NODE, NEXT.node]), forward: [NEXT] };
  t.not(await refusal(put(randomChunk(3, LENGTH), nobody)), 'OK', 'no node has it');
});

t.test(
  'memory is given back once everybody has the bytes, and not while one of them may still be sent them',
  async t => {
    const { pipeline, put, grantOf, freed } = await node(t);
    await put(randomChunk(1, LENGTH));
    t.equal(freed.payloads, 1);
    const chain = (chunk: number) => ({ grant: grantOf(chunk, [NODE, NEXT.node]), forward: [NEXT] });
    pipeline.outcome = { stored: [NEXT.node], failed: [] };
    await put(randomChunk(2, LENGTH), chain(2));
    t.equal(freed.payloads, 2);
    pipeline.outcome = {
      stored: [],
      failed: [{ node: NEXT.node, reason: 'it took too long', code: 'ETIMEDOUT' }],
    };
    await put(randomChunk(3, LENGTH), chain(3));
    t.equal(freed.payloads, 2);
  },
);

t.test('a durable write is on the disk when it is answered', async t => {
  const { put, disk } = await node(t);
  await put(randomChunk(1, LENGTH));
  const before = disk.datasyncs;
  await put(randomChunk(2, LENGTH), { durable: true });
  t.ok(disk.datasyncs > before);
});

t.test('sync names the chunks that are not there', async t => {
  const { put, ask, orders, disk } = await node(t);
  await put(randomChunk(1, LENGTH));
  t.same((await ask(syncChunks, { chunks: [1, 2] })).reply, { absent: [2] });
  t.same((await ask(syncChunks, { chunks: [1, 2] }, [], orders)).reply, { absent: [2] });
  t.ok(disk.datasyncs > 0);
});

t.test('the metadata server has a chunk copied to another node', async t => {
  const { put, ask, orders, pipeline, grantOf } = await node(t);
  const chunk = randomChunk(1, LENGTH);
  await put(chunk);
  const order = { grant: grantOf(1, [NODE, NEXT.node]), to: NEXT };
  pipeline.outcome = { stored: [NEXT.node], failed: [] };
  await ask(replicate, order, [], orders);
  t.match(pipeline.forwarded.at(-1), { forward: [NEXT], durable: true, checksums: chunk.table });
  pipeline.outcome = { stored: [], failed: [{ node: NEXT.node, reason: 'for a test', code: 'EIO' }] };
  t.equal(await refusal(ask(replicate, order, [], orders)), 'EIO');
  t.equal(await refusal(ask(replicate, order)), 'ENOSYS', 'nobody else may order it');
});

t.test('chunks are listed, and the place of the directory told', async t => {
  const { put, ask } = await node(t);
  await put(randomChunk(1, LENGTH));
  const { reply } = await ask(chunksAfter, { after: 0, hints: false, limit: 10 });
  t.same(
    reply.chunks.map(({ chunk }) => chunk),
    [1],
  );
  t.equal((await ask(locality, {})).reply.directory, '/data');
});

t.test('at the end what was begun is answered, and what comes is refused', async t => {
  const { requests, put, disk } = await node(t);
  let sync = (): void => undefined;
  disk.gate = new Promise(resolve => (sync = resolve));
  const writing = put(randomChunk(1, LENGTH), { durable: true });
  await new Promise(resolve => setImmediate(resolve));
  requests.refuse();
  t.equal(await refusal(put(randomChunk(2, LENGTH))), 'EAGAIN');
  let isOver = false;
  const over = requests.answered().then(() => (isOver = true));
  await new Promise(resolve => setImmediate(resolve));
  t.notOk(isOver);
  sync();
  t.same((await writing).reply.stored, [NODE]);
  await over;
  t.ok(isOver);
  await t.rejects(requests.answer(Promise.reject(new DfsError('EIO', 'for a test'))), { code: 'EIO' });
  await requests.answered();
});
