import t from 'tap';
import Database from 'better-sqlite3';
import { get } from '../../../src/metadata/operations/get.js';
import { open } from '../../../src/metadata/operations/open.js';
import { setattr } from '../../../src/metadata/operations/setattr.js';
import { unlink } from '../../../src/metadata/operations/unlink.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { GRANT_LIFETIME_MS, MAX_EXTENTS } from '../../../src/protocol/limits.js';
import { refusal, startHarness, type Harness } from './support/harness.js';

const entry = (name: string) => ({ parent: ROOT_INODE, name: Buffer.from(name) });

/** Puts `count` extents into a file behind the server's back, as many commits would have. */
async function fillWithExtents(harness: Harness, inode: number, count: number): Promise<void> {
  await harness.stop();
  const database = new Database(harness.path);
  database.transaction(() => {
    const chunk = database.prepare(
      'INSERT INTO chunks (chunk, length, checksum, refs, nodes) VALUES (?, 10, 1, 1, ?)',
    );
    const extent = database.prepare('INSERT INTO extents VALUES (?, ?, 10, ?, 0)');
    for (let index = 0; index < count; index += 1) {
      chunk.run(1e9 + index, Buffer.from([1, 0, 0, 0]));
      extent.run(inode, index * 10, 1e9 + index);
    }
    database
      .prepare('UPDATE inodes SET size = ?, allocated = ? WHERE inode = ?')
      .run(count * 10, count * 10, inode);
  })();
  database.close();
  await harness.start();
}

t.test(
  'a chunk that nobody refers to is dropped by its nodes after a grace, and never comes back',
  async t => {
    const harness = await startHarness(t);
    const one = await harness.node('node-1');
    const two = await harness.node('node-2');
    const client = await harness.client();
    const { inode } = await client.file('f');
    const chunks = await client.chunks([100]);
    const chunk = chunks[0]?.chunk ?? 0;
    const extent = { offset: 0, length: 100, chunk, chunkOffset: 0 };
    await client.commit(inode, [extent], chunks);
    await client.execute(unlink, entry('f'));
    await harness.pass(50_000);
    t.same(await harness.beat('node-1', one), [], 'not before its grace is over');
    await harness.until('the grace is over', () => harness.count('chunks') === 0);
    t.same(await harness.beat('node-1', one), [chunk]);
    t.same(await harness.beat('node-1', one), [chunk], 'told again until it is confirmed');
    t.same(await harness.beat('node-1', one, [chunk]), []);
    await harness.restart();
    await harness.node('node-2');
    t.same(await harness.beat('node-2', two), [chunk], 'the order outlives a restart');
    await harness.beat('node-2', two, [chunk]);
    t.equal(harness.count('drops'), 0);
    await client.begin();
    const again = await client.file('again');
    t.equal(await refusal(client.commit(again.inode, [extent], chunks)), 'ESTALE');
  },
);

t.test('a clock that is set ends no grace early, also over a restart', async t => {
  const harness = await startHarness(t);
  const node = await harness.node('node-1');
  const client = await harness.client();
  const { inode } = await client.file('f');
  const chunks = await client.chunks([100]);
  const chunk = chunks[0]?.chunk ?? 0;
  await client.commit(inode, [{ offset: 0, length: 100, chunk, chunkOffset: 0 }], chunks);
  const late = await client.chunks([10]);
  await client.execute(unlink, entry('f'));
  harness.clock.jumpMs = 30 * 3_600_000;
  await harness.pass(30_000);
  t.equal(harness.count('chunks'), 1, 'the grace is not over');
  harness.clock.jumpMs = 0;
  const again = await client.file('again');
  const extent = { offset: 0, length: 10, chunk: late[0]?.chunk ?? 0, chunkOffset: 0 };
  await client.commit(again.inode, [extent], late);
  t.equal(harness.count('chunks'), 2, 'what was stored can be committed when the clock is right again');
  harness.clock.jumpMs = 30 * 3_600_000;
  await harness.restart();
  await harness.node('node-1');
  await harness.pass(30_000);
  t.equal(harness.count('chunks'), 2, 'after a start nobody knows for how long it was waiting');
  await harness.until('the grace is over', () => harness.count('chunks') === 1);
  t.same(await harness.beat('node-1', node), [chunk]);
});

t.test('a chunk gets a new reference within its grace and lives', async t => {
  const harness = await startHarness(t);
  await harness.node('node-1');
  const client = await harness.client();
  const { inode } = await client.file('f');
  const chunks = await client.chunks([100]);
  const extent = { offset: 0, length: 100, chunk: chunks[0]?.chunk ?? 0, chunkOffset: 0 };
  await client.commit(inode, [extent], chunks);
  await client.execute(setattr, { inode, size: 0 });
  t.equal(harness.count('doomed'), 1);
  await client.commit(inode, [extent], chunks);
  t.equal(harness.count('doomed'), 0);
  await harness.pass(55_000);
  await client.stat(inode);
  await harness.pass(20_000);
  t.equal(harness.count('chunks'), 1);
});

t.test('what was granted and never committed is dropped when the grant has expired', async t => {
  const harness = await startHarness(t);
  const node = await harness.node('node-1');
  const client = await harness.client();
  const chunks = await client.chunks([10, 10]);
  await harness.restart();
  await harness.node('node-1');
  harness.clock.advance(GRANT_LIFETIME_MS + 600_000);
  await harness.until('the grants are collected', () => harness.count('grants') === 0);
  await harness.node('node-1');
  t.same(
    await harness.beat('node-1', node),
    chunks.map(each => each.chunk),
  );
});

t.test('nodes of a grant that the commit does not name are told to drop what they may have', async t => {
  const harness = await startHarness(t);
  const numbers = [await harness.node('node-1'), await harness.node('node-2')];
  const client = await harness.client();
  const { inode } = await client.file('f');
  const [stored] = await client.chunks([10]);
  if (!stored) throw new Error('no chunk');
  const [kept = 0] = stored.nodes;
  const extent = { offset: 0, length: 10, chunk: stored.chunk, chunkOffset: 0 };
  await client.commit(inode, [extent], [{ ...stored, nodes: [kept] }]);
  const failed = numbers.find(number => number !== kept) ?? 0;
  const name = `node-${failed}`;
  t.same(await harness.beat(name, failed), [], 'a write of it may still be under way');
  harness.clock.advance(61_000);
  await harness.node(name);
  t.same(await harness.beat(name, failed), [stored.chunk]);
  const { chunks } = await client.ask(get, { inode, offset: 0, limit: 1 });
  t.same(chunks[0]?.nodes, [kept]);
});

t.test('a huge file is deleted at once and its extents in small pieces', async t => {
  const harness = await startHarness(t);
  await harness.node('node-1');
  const client = await harness.client();
  const { inode } = await client.file('huge');
  await fillWithExtents(harness, inode, 10_000);
  await client.begin();
  await harness.pass(10_000);
  await client.execute(unlink, entry('huge'));
  await harness.until(
    'it is gone',
    async () => (await refusal(client.stat(inode)).catch(() => '')) === 'ENOENT',
  );
  await harness.until('all extents are gone', () => harness.count('extents') === 0);
  t.equal(harness.count('garbage'), 0);
  t.equal(harness.count('doomed'), 10_000);
});

t.test('a huge file is truncated with others being served in between', async t => {
  const harness = await startHarness(t);
  await harness.node('node-1');
  const client = await harness.client();
  const { inode } = await client.file('huge');
  await fillWithExtents(harness, inode, 10_000);
  await client.begin();
  await client.ask(open, { inode, session: client.id });
  let isDone = false;
  const once = client.next();
  const truncating = client.execute(setattr, { inode, size: 15 }, once).finally(() => (isDone = true));
  const repeated = client.execute(setattr, { inode, size: 15 }, once);
  await new Promise<void>(resolve => setImmediate(resolve));
  const { size } = await client.stat(inode);
  t.notOk(isDone, 'another request was answered in between');
  t.ok(size > 15 && size < 100_000, `the size was ${size} then`);
  const { attributes } = await truncating;
  t.equal(attributes.size, 15);
  t.equal(attributes.allocated, 15);
  t.same((await repeated).attributes, attributes, 'the same request again waits for the first');
  const { extents } = await client.ask(get, { inode, offset: 0, limit: MAX_EXTENTS });
  t.same(
    extents.map(extent => [extent.offset, extent.length]),
    [
      [0, 10],
      [10, 5],
    ],
  );
});
