/** A data node's files, which the client reads itself: never a byte that was not stored (client/local/local-node.ts). */
import t, { type Test } from 'tap';
import type { ReadableChunk } from '../../../../src/client/content/readable-chunk.js';
import { DiskReads } from '../../../../src/client/local/disk-reads.js';
import { LocalNode } from '../../../../src/client/local/local-node.js';
import { BufferPool } from '../../../../src/platform/buffer-pool.js';
import { DIRECT_SLACK_BYTES } from '../../../../src/platform/direct-reads.js';
import { Loans } from '../../../../src/platform/loans.js';
import type { ReplyOf } from '../../../../src/protocol/command.js';
import { chunkChecksum, computeChecksums } from '../../../../src/protocol/checksum.js';
import type { locate } from '../../../../src/protocol/datanode-commands.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { CHECKSUM_BLOCK_BYTES } from '../../../../src/protocol/limits.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { waitUntil } from '../../../support/wait-until.js';
import { LOG } from '../../metadata/support/harness.js';
import { CountedFiles } from './support/counted-files.js';

const FILE = 'segments/00000001.seg';
const OFFSET = 100;
const LENGTH = 300_000;
const CHUNK = 7;
const AVOID_MS = 2000;
const BYTES = Buffer.from(Array.from({ length: LENGTH }, (_, index) => (index * 31 + (index >> 8)) % 256));
const TABLE = computeChecksums([BYTES]);
const LOCATION: ReadableChunk = {
  chunk: CHUNK,
  length: LENGTH,
  checksum: chunkChecksum(TABLE),
  nodes: [1],
  readGrant: 'grant',
};
const PLACE = { file: FILE, offset: OFFSET, length: LENGTH, checksums: TABLE };

/** A node with one chunk in one file, which tells its place as the test says. */
async function scene(t: Test) {
  const clock = new ManualClock();
  const files = await CountedFiles.inDirectory(t);
  await files.write(FILE, Buffer.concat([Buffer.alloc(OFFSET), BYTES]));
  const asked: string[] = [];
  const script: { told: () => ReplyOf<typeof locate> | Promise<ReplyOf<typeof locate>> } = {
    told: () => PLACE,
  };
  const pool = new BufferPool(LENGTH + CHECKSUM_BLOCK_BYTES + DIRECT_SLACK_BYTES, 2);
  const node = new LocalNode({
    node: 1,
    directory: files.directory,
    files,
    diskReads: new DiskReads(clock),
    pool,
    clock,
    log: LOG,
    locate: async (chunk, grant) => {
      asked.push(`${chunk} ${grant}`);
      return await script.told();
    },
  });
  t.teardown(async () => await node.close());
  return { clock, files, asked, script, pool, node };
}

const answer = (code: 'EACCES' | 'EAGAIN' | 'ENOENT') => new DfsError(code, 'no', { isAnswer: true });

t.test('exactly the bytes that are asked for are read, at the ends of blocks and between', async t => {
  const { node, asked } = await scene(t);
  const block = CHECKSUM_BLOCK_BYTES;
  const ranges = [
    [0, LENGTH],
    [0, 1],
    [block - 1, 2],
    [block, block],
    [3 * block + 5, 2 * block],
    [LENGTH - 1, 1],
  ] as const;
  for (const [offset, length] of ranges) {
    const bytes = await node.read(LOCATION, offset, length);
    const isSame = Buffer.isBuffer(bytes) && bytes.equals(BYTES.subarray(offset, offset + length));
    t.ok(isSame, `${length} bytes at ${offset}`);
  }
  t.same(asked, ['7 grant'], 'its place is asked for once');
});

t.test('readers at the same time ask for the place once', async t => {
  const { node, asked } = await scene(t);
  const read = await Promise.all([1, 2, 3].map(async () => await node.read(LOCATION, 0, 10)));
  for (const bytes of read) t.same(bytes, BYTES.subarray(0, 10));
  t.equal(asked.length, 1);
});

t.test('bytes are the caller’s: the next read changes none of them', async t => {
  const { node } = await scene(t);
  for (const isCached of [true, false]) {
    const first = await node.read(LOCATION, 0, 1000);
    await node.read(LOCATION, 50_000, 1000);
    t.same(first, BYTES.subarray(0, 1000), isCached ? 'from memory' : 'from the disk');
  }
});

t.test('what the page cache has is read without a thread, and the rest by one', async t => {
  const { node, files } = await scene(t);
  await node.read(LOCATION, 0, 10);
  t.equal(files.preads, 0);
  files.isCached = false;
  t.same(await node.read(LOCATION, 20_000, 10), BYTES.subarray(20_000, 20_010));
  t.equal(files.preads, 1);
});

t.test('large reads borrow memory that is used again when the loan ends', async t => {
  const { node, pool } = await scene(t);
  const loans = new Loans();
  const large = await node.read(LOCATION, 10, 200_000, { loans });
  t.ok(Buffer.isBuffer(large) && large.equals(BYTES.subarray(10, 200_010)));
  const before = pool.take();
  t.ok(Buffer.isBuffer(large) && before.buffer !== large.buffer, 'not while it is lent');
  loans.end();
  t.ok(Buffer.isBuffer(large) && pool.take().buffer === large.buffer);
  const small = await node.read(LOCATION, 10, 1000, { loans });
  t.ok(Buffer.isBuffer(small) && pool.take().buffer !== small.buffer, 'a small one is not worth it');
});

t.test('borrowed memory goes back when what was read into it is no good', async t => {
  const { node, pool, files } = await scene(t);
  const mine = pool.take();
  pool.give(mine);
  const loans = new Loans();
  await files.write(FILE, Buffer.alloc(OFFSET + LENGTH));
  t.equal(await node.read(LOCATION, 0, 200_000, { loans }), 'damaged');
  loans.end();
  t.equal(pool.take(), mine);
});

t.test('a byte that is not what was stored is never read, and the chunk is avoided for a while', async t => {
  const { node, files, clock, asked } = await scene(t);
  const wrong = Buffer.concat([Buffer.alloc(OFFSET), BYTES]);
  wrong.writeUInt8(wrong.readUInt8(OFFSET + 20_000) ^ 1, OFFSET + 20_000);
  await files.write(FILE, wrong);
  t.same(await node.read(LOCATION, 0, 10), BYTES.subarray(0, 10), 'another block is as it was');
  t.ok(node.mayHave(CHUNK));
  t.equal(await node.read(LOCATION, 20_010, 10), 'damaged', 'the whole block is wrong');
  t.notOk(node.mayHave(CHUNK));
  t.equal(await node.read(LOCATION, 0, 10), undefined);
  clock.advance(AVOID_MS - 1);
  t.notOk(node.mayHave(CHUNK));
  clock.advance(1);
  t.ok(node.mayHave(CHUNK));
  t.same(await node.read(LOCATION, 0, 10), BYTES.subarray(0, 10));
  t.equal(asked.length, 2, 'the node may have moved it');
});

t.test('damage is found in what the disk brings, too', async t => {
  const { node, files } = await scene(t);
  files.isCached = false;
  await files.write(FILE, Buffer.alloc(OFFSET + LENGTH));
  t.equal(await node.read(LOCATION, 0, 10), 'damaged');
});

t.test('a file that is gone, or ends too early, is damage of which the node must hear', async t => {
  for (const isGone of [true, false]) {
    const { node, files } = await scene(t);
    if (isGone) await files.remove(FILE);
    else await files.write(FILE, BYTES.subarray(0, LENGTH - 1000));
    t.equal(await node.read(LOCATION, LENGTH - 10, 10), 'damaged');
    t.notOk(node.mayHave(CHUNK));
  }
});

t.test('a place that does not belong to the chunk is not believed', async t => {
  const other = computeChecksums([Buffer.alloc(LENGTH)]);
  const lies = [
    { ...PLACE, length: LENGTH - 1 },
    { ...PLACE, checksums: other },
    { ...PLACE, checksums: TABLE.subarray(0, 4) },
  ];
  for (const lie of lies) {
    const { node, script, files } = await scene(t);
    script.told = () => lie;
    t.equal(await node.read(LOCATION, 0, 10), undefined);
    t.equal(files.opened, 0, 'nothing is read from there');
    t.notOk(node.mayHave(CHUNK));
  }
});

t.test('a table of the right checksum but of another length is not believed', async t => {
  const { node, script } = await scene(t);
  const short = TABLE.subarray(0, 8);
  script.told = () => ({ ...PLACE, checksums: short });
  t.equal(await node.read({ ...LOCATION, checksum: chunkChecksum(short) }, 0, 10), undefined);
});

t.test('a node that does not have the chunk is not asked again at once', async t => {
  const { node, script, asked, clock } = await scene(t);
  script.told = () => {
    throw answer('ENOENT');
  };
  t.equal(await node.read(LOCATION, 0, 10), undefined);
  t.equal(await node.read(LOCATION, 0, 10), undefined);
  t.equal(asked.length, 1);
  script.told = () => PLACE;
  clock.advance(AVOID_MS);
  t.same(await node.read(LOCATION, 0, 10), BYTES.subarray(0, 10));
});

t.test('a chunk whose grant has expired is tried again with the next grant', async t => {
  for (const code of ['EACCES', 'EAGAIN'] as const) {
    const { node, script, asked } = await scene(t);
    script.told = () => {
      throw answer(code);
    };
    t.equal(await node.read(LOCATION, 0, 10), undefined);
    t.ok(node.mayHave(CHUNK));
    script.told = () => PLACE;
    t.same(await node.read({ ...LOCATION, readGrant: 'newer' }, 0, 10), BYTES.subarray(0, 10));
    t.same(asked, ['7 grant', '7 newer']);
  }
});

t.test('a slow disk is no damage: the node is to be asked meanwhile', async t => {
  const { node, files, clock } = await scene(t);
  files.isCached = false;
  let finish = (): void => undefined;
  files.beforePread = async () => await new Promise<void>(resolve => (finish = resolve));
  const reading = node.read(LOCATION, 0, 10);
  await waitUntil(() => files.preads === 1, { what: 'the disk is asked' });
  clock.advance(AVOID_MS);
  t.equal(await reading, undefined);
  t.notOk(node.mayHave(CHUNK));
  finish();
});

t.test('when many wait for the disk, others are to ask the node, and come back', async t => {
  const { node, files } = await scene(t);
  await node.read(LOCATION, 0, 10);
  files.isCached = false;
  const finish: (() => void)[] = [];
  files.beforePread = async () => await new Promise<void>(resolve => finish.push(resolve));
  const reading = [1, 2, 3, 4].map(async () => await node.read(LOCATION, 0, 10));
  await waitUntil(() => finish.length === 4, { what: 'the disk is busy' });
  t.equal(await node.read(LOCATION, 0, 10), undefined);
  t.ok(node.mayHave(CHUNK));
  for (const end of finish) end();
  for (const read of reading) t.same(await read, BYTES.subarray(0, 10));
});

t.test('a stream waits for its turn instead, so that the node does not read it', async t => {
  const { node, files } = await scene(t);
  await node.read(LOCATION, 0, 10);
  files.isCached = false;
  files.isPartlyCached = true;
  const finish: (() => void)[] = [];
  files.beforePread = async () => await new Promise<void>(resolve => finish.push(resolve));
  const reading = [1, 2, 3, 4].map(async () => await node.read(LOCATION, 0, 10));
  await waitUntil(() => finish.length === 4, { what: 'the disk is busy' });
  const loans = new Loans();
  const streamed = node.read(LOCATION, 0, 200_000, { loans, isStreamed: true });
  for (const end of finish.splice(0)) end();
  for (const read of reading) t.same(await read, BYTES.subarray(0, 10));
  await waitUntil(() => finish.length === 1, { what: 'its turn has come' });
  for (const end of finish) end();
  t.same(await streamed, BYTES.subarray(0, 200_000));
  loans.end();
});

t.test('of a file that the node has removed no place is believed any more', async t => {
  const { node, files, clock, asked, script } = await scene(t);
  await node.read(LOCATION, 0, 10);
  const moved = 'segments/00000002.seg';
  await files.write(moved, BYTES);
  await files.remove(FILE);
  script.told = () => ({ ...PLACE, file: moved, offset: 0 });
  clock.advance(1000);
  await waitUntil(() => files.areOpen === 0, { what: 'the old file is closed' });
  t.same(await node.read(LOCATION, 5, 10), BYTES.subarray(5, 15));
  t.equal(asked.length, 2);
});

t.test('read-ahead asks the system for the blocks that will be wanted', async t => {
  const { node, files } = await scene(t);
  const block = CHECKSUM_BLOCK_BYTES;
  await node.prefetch(LOCATION, block + 1, block);
  await node.prefetch(LOCATION, LENGTH - 1, 1);
  const last = Math.floor(LENGTH / block) * block;
  t.same(files.prefetched, [
    [OFFSET + block, 2 * block],
    [OFFSET + last, LENGTH - last],
  ]);
});

t.test('read-ahead that fails is nobody’s trouble', async t => {
  const { node, files, script } = await scene(t);
  await files.remove(FILE);
  await node.prefetch(LOCATION, 0, 10);
  t.ok(node.mayHave(CHUNK), 'who reads it finds out');
  script.told = () => {
    throw answer('ENOENT');
  };
  await node.prefetch({ ...LOCATION, chunk: 8 }, 0, 10);
  t.same(files.prefetched, []);
});

t.test('a closed node has nothing open, and reads nothing', async t => {
  const { node, files } = await scene(t);
  await node.read(LOCATION, 0, 10);
  await node.close();
  await node.close();
  t.equal(files.areOpen, 0);
  t.notOk(Buffer.isBuffer(await node.read(LOCATION, 0, 10)));
});

t.test('a stream of bytes that the page cache does not have is read past it, once', async t => {
  const { node, files, pool } = await scene(t);
  files.isCached = false;
  const loans = new Loans();
  const manner = { loans, isStreamed: true };
  const read = await node.read(LOCATION, 10, 200_000, manner);
  t.ok(Buffer.isBuffer(read) && read.equals(BYTES.subarray(10, 200_010)));
  t.same([files.directReads, files.preads], [1, 0]);
  loans.end();
  t.ok(Buffer.isBuffer(read) && pool.take().buffer === read.buffer, 'its memory is used again');
  await node.read(LOCATION, 10, 200_000, manner);
  t.equal(files.directReads, 1, 'what is read again is worth its place in the cache');
});

t.test('damage and an early end are found past the page cache, too', async t => {
  for (const content of [Buffer.alloc(OFFSET + LENGTH), BYTES.subarray(0, 100_000)]) {
    const { node, files } = await scene(t);
    files.isCached = false;
    await files.write(FILE, content);
    const manner = { loans: new Loans(), isStreamed: true };
    t.equal(await node.read(LOCATION, 0, 200_000, manner), 'damaged');
    t.equal(files.directReads, 1);
  }
});

t.test('where no read goes past the page cache, a thread reads through it', async t => {
  const { node, files } = await scene(t);
  files.isCached = false;
  files.isDirectKnown = false;
  const read = await node.read(LOCATION, 0, 200_000, { loans: new Loans(), isStreamed: true });
  t.ok(Buffer.isBuffer(read) && read.equals(BYTES.subarray(0, 200_000)));
  t.equal(files.preads, 1);
});
