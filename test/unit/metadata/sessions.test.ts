import { copyFile } from 'node:fs/promises';
import t from 'tap';
import { blocks } from '../../../src/metadata/operations/blocks.js';
import { open } from '../../../src/metadata/operations/open.js';
import { put } from '../../../src/metadata/operations/put.js';
import { release } from '../../../src/metadata/operations/release.js';
import { rename } from '../../../src/metadata/operations/rename.js';
import { end, renew } from '../../../src/metadata/operations/session.js';
import { unlink } from '../../../src/metadata/operations/unlink.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { SESSION_RENEW_MS, SESSION_TIMEOUT_MS } from '../../../src/protocol/limits.js';
import { refusal, startHarness, TestClient } from './support/harness.js';

const bytes = (text: string): Buffer => Buffer.from(text);
const entry = (name: string) => ({ parent: ROOT_INODE, name: bytes(name) });

t.test('a session is taken up with its secret, and only with it', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const { id, secret } = client;
  t.equal((await client.begin()).resumed, true);
  await harness.restart();
  t.equal((await client.begin()).resumed, true, 'it outlives the server');
  t.equal(client.id, id);
  const thief = new TestClient(harness);
  thief.id = id;
  thief.secret = Buffer.alloc(secret.length);
  const reply = await thief.begin();
  t.equal(reply.resumed, false);
  t.not(reply.session, id);
  await client.ask(renew, { session: id });
});

t.test('a silent session ends, one that says anything lives', async t => {
  const harness = await startHarness(t);
  const silent = await harness.client();
  const renewing = await harness.client();
  const working = await harness.client();
  for (let ms = 0; ms <= SESSION_TIMEOUT_MS + 5000; ms += SESSION_RENEW_MS) {
    await renewing.ask(renew, { session: renewing.id });
    await working.mkdir(`d${ms}`);
    await harness.pass(SESSION_RENEW_MS);
  }
  t.equal(await refusal(silent.ask(renew, { session: silent.id })), 'ESTALE');
  t.equal(await refusal(silent.mkdir('x')), 'ESTALE');
  t.equal(await refusal(silent.ask(open, { inode: ROOT_INODE, session: silent.id })), 'ESTALE');
  t.equal((await silent.begin()).resumed, false);
  await renewing.ask(renew, { session: renewing.id });
  await working.mkdir('y');
});

t.test('the time that the server was away does not count', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  await harness.pass(SESSION_TIMEOUT_MS - 5000);
  await harness.stop();
  harness.clock.advance(10 * SESSION_TIMEOUT_MS);
  await harness.start();
  await harness.pass(SESSION_TIMEOUT_MS - 5000);
  t.equal((await client.begin()).resumed, true);
});

t.test('a file without a name lives until the last session closes it', async t => {
  const harness = await startHarness(t);
  const one = await harness.client();
  const two = await harness.client();
  const { inode } = await one.file('f', ROOT_INODE, true);
  await two.ask(open, { inode, session: two.id });
  t.equal((await one.execute(unlink, entry('f'))).nlink, 0);
  t.equal((await two.stat(inode)).nlink, 0);
  await one.ask(release, { inodes: [inode], session: one.id });
  await one.ask(release, { inodes: [inode], session: one.id });
  t.equal((await two.stat(inode)).nlink, 0, 'closing twice closes once');
  await two.ask(release, { inodes: [inode], session: two.id });
  await harness.pass(5000);
  t.equal(await refusal(two.stat(inode)), 'ENOENT');
  t.equal(harness.count('orphans'), 0);
});

t.test('a file that a rename replaced lives on as well, and ends with its session', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const other = await harness.client();
  const { inode } = await client.file('old', ROOT_INODE, true);
  await other.file('new');
  await other.execute(rename, {
    ...entry('new'),
    newParent: ROOT_INODE,
    newName: bytes('old'),
    flags: 0,
  });
  t.equal((await other.stat(inode)).nlink, 0);
  await client.ask(end, { session: client.id });
  await harness.pass(5000);
  t.equal(await refusal(other.stat(inode)), 'ENOENT');
  await client.ask(end, { session: client.id });
  t.equal(await refusal(client.ask(renew, { session: client.id })), 'ESTALE');
  await other.ask(release, { inodes: [inode], session: client.id });
});

t.test('a file that is closed and keeps a name stays', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const { inode } = await client.file('f', ROOT_INODE, true);
  await client.ask(release, { inodes: [inode], session: client.id });
  await client.ask(end, { session: client.id });
  t.equal((await client.stat(inode)).nlink, 1);
});

t.test('after a restart a file without a name waits for who had it open', async t => {
  const harness = await startHarness(t);
  const returning = await harness.client();
  const lost = await harness.client();
  const { inode: kept } = await returning.file('kept', ROOT_INODE, true);
  const { inode: dropped } = await lost.file('dropped', ROOT_INODE, true);
  const { inode: late } = await lost.file('late');
  await returning.execute(unlink, entry('kept'));
  await lost.execute(unlink, entry('dropped'));
  await harness.restart();
  await harness.pass(10_000);
  t.equal((await returning.begin([kept])).resumed, true);
  // Not opened by anybody, but who knows that yet.
  await returning.execute(unlink, entry('late'));
  t.equal((await returning.stat(dropped)).nlink, 0);
  t.equal((await returning.stat(late)).nlink, 0);
  // `lost` does not come back.
  const deadlineMs = harness.clock.monotonicMs() + SESSION_TIMEOUT_MS + 20_000;
  while (harness.clock.monotonicMs() < deadlineMs) {
    await returning.ask(renew, { session: returning.id });
    await harness.pass(SESSION_RENEW_MS);
  }
  t.equal(await refusal(returning.stat(dropped)), 'ENOENT');
  t.equal(await refusal(returning.stat(late)), 'ENOENT');
  t.equal((await returning.stat(kept)).nlink, 0, 'still open');
  await returning.ask(release, { inodes: [kept], session: returning.id });
  t.equal(await refusal(returning.stat(kept)), 'ENOENT');
  t.equal(harness.count('orphans'), 0);
});

t.test('any request on a connection says that its session lives', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const peer = { isClosed: false };
  harness.service.bind(peer, client.id, false, {
    revoke: async () => ({}),
    recall: async () => ({ kept: [] }),
  });
  for (let ms = 0; ms <= SESSION_TIMEOUT_MS + 5000; ms += SESSION_RENEW_MS) {
    await client.ask(renew, { session: client.id }, peer);
    await harness.pass(SESSION_RENEW_MS);
  }
  await client.ask(renew, { session: client.id });
});

t.test('what a put opened is closed by release', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const { attributes } = await client.execute(put, {
    ...entry('f'),
    uid: 0,
    gid: 0,
    mode: 0o600,
    exclusive: true,
    count: 0,
    goal: 1,
    maxBytes: 1,
    exclude: [],
  });
  const { inode } = attributes;
  await client.execute(unlink, entry('f'));
  t.equal((await client.stat(inode)).nlink, 0);
  await client.ask(release, { inodes: [inode], session: client.id });
  await harness.pass(5000);
  t.equal(await refusal(client.stat(inode)), 'ENOENT');
});

t.test('a session with very many open files ends piece by piece, completely', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const other = await harness.client();
  await Promise.all(
    Array.from({ length: 1000 }, async (_, index) => {
      await client.file(`f${index}`, ROOT_INODE, true);
      await other.execute(unlink, entry(`f${index}`));
    }),
  );
  t.equal(harness.count('orphans'), 1000);
  await client.ask(end, { session: client.id });
  await harness.until('nothing is left', () => harness.count('orphans') === 0);
  t.equal(harness.count('inodes'), 1);
  t.equal(harness.count('sessions'), 1);
  t.equal(await refusal(client.ask(renew, { session: client.id })), 'ESTALE');
});

t.test(
  'a client that comes back is told what a power loss took, and that the server was started anew',
  async t => {
    const harness = await startHarness(t);
    const client = await harness.client();
    await client.mkdir('kept');
    const kept = client.sequence;
    const before = await client.begin([], [kept]);
    t.same(before.lost, []);
    await harness.stop();
    const image = `${harness.path}.image`;
    await copyFile(harness.path, image);
    await harness.start();
    await client.begin();
    await client.mkdir('lost');
    const lost = client.sequence;
    await harness.restart();
    const killed = await client.begin([], [kept, lost]);
    t.same(killed.lost, [], 'what is killed loses nothing');
    t.not(killed.run, before.run);
    // The disk is as it was before the last change.
    await harness.stop();
    await copyFile(image, harness.path);
    await harness.start();
    t.same((await client.begin([], [kept, lost])).lost, [lost]);
    t.same((await client.begin([], [kept, lost])).lost, [lost], 'also when it asks again');
  },
);

t.test('what is appended to a file that became shorter moves to the front', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  await harness.node('n1');
  const { inode } = await client.file('log');
  const [chunk] = await client.chunks([100]);
  if (!chunk) throw new Error('no grant');
  // The client takes the file for 5000 bytes long, which others have truncated.
  const extents = [{ offset: 5000, length: 100, chunk: chunk.chunk, chunkOffset: 0 }];
  const request = { inode, extents, chunks: [chunk], size: 5100, mtime: { sec: 5, nsec: 6 }, durable: false };
  const reply = await client.execute(blocks, { ...request, append: true });
  t.equal(reply.moved, -5000);
  t.equal(blocks.command.reply.decode(blocks.command.reply.encode(reply)).moved, -5000);
});
