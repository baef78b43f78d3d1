/** Who gets an intent log, and what its commits may say. */
import t, { type Test } from 'tap';
import { blocks } from '../../../src/metadata/operations/blocks.js';
import { endlog } from '../../../src/metadata/operations/endlog.js';
import { heartbeat } from '../../../src/metadata/operations/heartbeat.js';
import { session as sessionOperation } from '../../../src/metadata/operations/session.js';
import { IntentLogs } from '../../../src/metadata/intents/intent-logs.js';
import { refusal, startHarness, type Harness, type TestClient } from './support/harness.js';

const record = { inode: 5, session: 2, log: 77, done: 0, version: 1, nodes: [1, 2] };

t.test('a log is owed when its session has the file no longer to itself, and after a restart', async t => {
  const logs = new IntentLogs();
  logs.set(record);
  t.notOk(logs.isOwed(5, 2));
  t.ok(logs.isOwed(5, undefined));
  t.ok(logs.isOwed(5, 3));
  t.notOk(logs.isOwed(6, undefined));
  logs.demand(5);
  t.ok(logs.isOwed(5, 2), 'also to its own session');
  logs.set({ ...record, log: 78 });
  t.notOk(logs.isOwed(5, 2), 'another one takes its place');
  t.notOk(logs.has(77));
  t.ok(logs.has(78));
  t.equal(logs.countOf(2), 1);
  logs.delete(5);
  t.equal(logs.countOf(2), 0);
  const restarted = new IntentLogs();
  restarted.load(record);
  t.ok(restarted.isOwed(5, 2));
});

/** A connection of the client, which caches, and so is given what nobody else uses. */
async function caching(harness: Harness, client: TestClient): Promise<{ readonly isClosed: boolean }> {
  const peer = { isClosed: false };
  const reply = await harness.service.execute(
    sessionOperation,
    { session: client.id, secret: client.secret, client: 'test', opens: [], caches: true },
    peer,
  );
  harness.service.bind(peer, reply.session, true, {
    revoke: async () => ({}),
    recall: async () => ({ kept: [] }),
  });
  return peer;
}

interface Opened {
  readonly harness: Harness;
  readonly client: TestClient;
  readonly inode: number;
  readonly log: number;
  commit(more: object): Promise<{ readonly opened?: { readonly log: number } | undefined }>;
}

async function opened(t: Test): Promise<Opened> {
  const harness = await startHarness(t);
  for (const name of ['node-1', 'node-2', 'node-3']) await harness.node(name);
  const client = await harness.client();
  await caching(harness, client);
  const { inode } = await client.file('f');
  const commit: Opened['commit'] = async more => {
    const chunks = await client.chunks([10]);
    const extents = chunks.map(({ chunk }) => ({ offset: 0, length: 10, chunk, chunkOffset: 0 }));
    const request = { inode, extents, chunks, size: 10, mtime: { sec: 5, nsec: 6 }, durable: true, ...more };
    return await client.execute(blocks, request);
  };
  const reply = await commit({ wantsLog: {} });
  return { harness, client, inode, log: reply.opened?.log ?? 0, commit };
}

t.test('a session gets a log of a file that it has to itself', async t => {
  const { harness, log } = await opened(t);
  t.ok(log > 0);
  t.equal(harness.count('intent_logs'), 1);
});

t.test('one that does not, or asks for no durable commit, gets none', async t => {
  const { harness, log, commit } = await opened(t);
  const wantsLog = { before: { log, last: 0 } };
  t.equal((await commit({ wantsLog, durable: false })).opened, undefined);
  const other = await harness.client();
  const { inode } = await other.file('g');
  const [chunk] = await other.chunks([10]);
  if (!chunk) return;
  const extents = [{ offset: 0, length: 10, chunk: chunk.chunk, chunkOffset: 0 }];
  const request = { inode, extents, chunks: [chunk], size: 0, mtime: { sec: 1, nsec: 0 }, durable: true };
  t.equal((await other.execute(blocks, { ...request, wantsLog: {} })).opened, undefined, 'it caches nothing');
});

t.test('intents are carried out in order, by the session whose log it is', async t => {
  const { harness, client, inode, log, commit } = await opened(t);
  t.equal(await refusal(commit({ carriesOut: { log, first: 2, last: 2 } })), 'EINVAL');
  await commit({ carriesOut: { log, first: 1, last: 2 } });
  await commit({ carriesOut: { log, first: 3, last: 3 } });
  t.equal(await refusal(commit({ carriesOut: { log, first: 3, last: 3 } })), 'EINVAL');
  t.equal(await refusal(commit({ carriesOut: { log: log + 1, first: 4, last: 4 } })), 'EIO', 'of no log');
  const other = await harness.client();
  const peer = await caching(harness, other);
  await other.ask(endlog, { inode, log, last: 3 }, peer);
  t.equal(harness.count('intent_logs'), 1, 'another session does not end it');
  t.ok(client.id !== other.id);
});

t.test('a log ends when all of its intents are committed, and data nodes are told so', async t => {
  const { harness, client, inode, log, commit } = await opened(t);
  await commit({ carriesOut: { log, first: 1, last: 2 } });
  const peer = await caching(harness, client);
  const beat = async (): Promise<readonly number[] | undefined> => {
    const space = { totalBytes: 2e12, freeBytes: 1e12, chunks: 0 };
    const request = { node: 1, id: 'node-1--', ...space, dropped: [], logs: [log, log + 1] };
    return (await harness.service.execute(heartbeat, request)).endedLogs;
  };
  t.same(await beat(), [log + 1]);
  await client.ask(endlog, { inode, log, last: 1 }, peer);
  t.same(await beat(), [log + 1], 'the second may not be committed');
  await client.ask(endlog, { inode, log, last: 2 }, peer);
  t.same(await beat(), [log, log + 1]);
  t.equal(harness.count('intent_logs'), 0);
});

t.test('what a program was told is synced is committed though its grant has expired', async t => {
  const { harness, client, inode, log } = await opened(t);
  const chunks = await client.chunks([10]);
  harness.clock.advance(7200_000);
  await client.begin();
  for (const [index, name] of ['node-1', 'node-2', 'node-3'].entries()) await harness.beat(name, index + 1);
  const extents = chunks.map(({ chunk }) => ({ offset: 0, length: 10, chunk, chunkOffset: 0 }));
  const request = { inode, extents, chunks, size: 10, mtime: { sec: 5, nsec: 6 }, durable: false };
  t.equal(await refusal(client.execute(blocks, request)), 'ESTALE');
  await client.execute(blocks, { ...request, carriesOut: { log, first: 1, last: 1 } });
});
