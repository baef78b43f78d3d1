/** What a node holds and what is on record are brought together, and nothing is dropped that anybody may want. */
import Database from 'better-sqlite3';
import t from 'tap';
import { amend } from '../../../src/metadata/operations/amend.js';
import { get } from '../../../src/metadata/operations/get.js';
import { heartbeat } from '../../../src/metadata/operations/heartbeat.js';
import { inventory } from '../../../src/metadata/operations/inventory.js';
import type { RepairStatus } from '../../../src/protocol/cluster-commands.js';
import { ascending } from '../../support/ascending.js';
import { startHarness, type Harness } from './support/harness.js';

const ID_BYTES = 8;
const END = Number.MAX_SAFE_INTEGER;
const MINUTE_MS = 60_000;

function encode(chunks: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(chunks.length * ID_BYTES);
  for (const [index, chunk] of chunks.entries()) bytes.writeBigUInt64LE(BigInt(chunk), index * ID_BYTES);
  return bytes;
}

/** A node tells that it holds exactly these chunks. */
async function report(
  harness: Harness,
  name: string,
  node: number,
  chunks: readonly number[],
  absent: number[] = [],
) {
  const id = name.padEnd(8, '-');
  const page = { node, id, after: 0, chunks: encode(chunks), until: END, absent };
  return await harness.service.execute(inventory, page);
}

/** Lets time pass while the nodes go on beating; returns what the first was told to drop last. */
async function pass(
  harness: Harness,
  ms: number,
  nodes: readonly (readonly [string, number])[],
): Promise<number[]> {
  let drop: number[] = [];
  for (let left = ms; left > 0; left -= 1000) {
    await harness.pass(1000);
    for (const [index, [name, node]] of nodes.entries()) {
      const told = await harness.beat(name, node);
      if (index === 0) drop = told;
    }
  }
  return drop;
}

/** As a power loss does that takes the last second's commits with it. */
function loseGrants(harness: Harness): void {
  const database = new Database(harness.path);
  database.exec('DELETE FROM grants');
  database.close();
}

/** How many orders to drop something are on record. */
function pendingDrops(harness: Harness): unknown {
  const database = new Database(harness.path, { readonly: true });
  const count = database.prepare('SELECT count(*) FROM drops').pluck().get();
  database.close();
  return count;
}

/** The nodes that hold the chunk, by the records. */
async function holders(harness: Harness, inode: number): Promise<readonly number[]> {
  const { chunks } = await harness.service.execute(get, { inode, offset: 0, limit: 10 });
  return chunks[0]?.nodes ?? [];
}

async function start(harness: Harness) {
  const first = await harness.node('one');
  const second = await harness.node('two');
  const client = await harness.client();
  const { inode } = await client.file('file');
  const [stored] = await client.chunks([100]);
  if (!stored) throw new Error('no grant');
  const commit = async () =>
    await client.commit(inode, [{ offset: 0, length: 100, chunk: stored.chunk, chunkOffset: 0 }], [stored]);
  return { first, second, client, inode, stored, commit };
}

t.test(
  'a chunk that is on record and not there is looked up twice, and then taken off the record',
  async t => {
    const harness = await startHarness(t);
    const { first, second, inode, stored, commit } = await start(harness);
    await commit();
    const reply = await report(harness, 'one', first, []);
    t.same(reply, { known: true, through: END, missing: [stored.chunk] });
    t.same(
      [...(await holders(harness, inode))].sort(ascending),
      [first, second],
      'it may have come a moment later',
    );
    await report(harness, 'one', first, [], [stored.chunk]);
    t.same(await holders(harness, inode), [second]);
  },
);

t.test('a replica that is there and not on record is used again when it is needed', async t => {
  const harness = await startHarness(t);
  const { first, second, inode, stored, commit } = await start(harness);
  await commit();
  await report(harness, 'one', first, [], [stored.chunk]);
  await report(harness, 'one', first, [stored.chunk]);
  t.same([...(await holders(harness, inode))].sort(ascending), [first, second]);
});

t.test('a chunk that nobody knows is dropped, but not at once', async t => {
  const harness = await startHarness(t);
  const { first, second, client, stored, commit } = await start(harness);
  await commit();
  const [unknown] = await client.chunks([1]);
  if (!unknown) throw new Error('no grant');
  loseGrants(harness);
  const nodes = [
    ['one', first],
    ['two', second],
  ] as const;
  await report(harness, 'one', first, [stored.chunk, unknown.chunk]);
  t.same(await pass(harness, 9 * MINUTE_MS, nodes), []);
  t.same(await pass(harness, 2 * MINUTE_MS, nodes), [unknown.chunk]);
});

t.test('a chunk that is granted and not committed yet is left alone', async t => {
  const harness = await startHarness(t);
  const { first, second, stored } = await start(harness);
  const nodes = [
    ['one', first],
    ['two', second],
  ] as const;
  await report(harness, 'one', first, [stored.chunk]);
  t.same(await pass(harness, 11 * MINUTE_MS, nodes), []);
});

t.test('a chunk newer than any that was given out is never dropped: the database is an old copy', async t => {
  const harness = await startHarness(t);
  const { first, second } = await start(harness);
  const nodes = [
    ['one', first],
    ['two', second],
  ] as const;
  await report(harness, 'one', first, [2 ** 40]);
  t.same(await pass(harness, 11 * MINUTE_MS, nodes), []);
});

t.test('what is on record for a node is not dropped there, whatever was noted before', async t => {
  const harness = await startHarness(t);
  const { first, second, commit, stored } = await start(harness);
  const nodes = [
    ['one', first],
    ['two', second],
  ] as const;
  // As after a power loss that took the grant with it: unknown now, committed a moment later.
  loseGrants(harness);
  await report(harness, 'one', first, [stored.chunk]);
  t.equal(pendingDrops(harness), 1);
  await commit();
  t.equal(pendingDrops(harness), 0, 'what was noted is forgotten with the commit');
  t.same(await pass(harness, 11 * MINUTE_MS, nodes), []);
});

t.test('nor when the grant that went is amended before its chunk is committed', async t => {
  const harness = await startHarness(t);
  const { first, second, client, commit, stored } = await start(harness);
  loseGrants(harness);
  await report(harness, 'one', first, [stored.chunk]);
  t.equal(pendingDrops(harness), 1);
  const request = { grant: stored.grant, goal: 2, stored: [first, second], failed: [] };
  await client.ask(amend, request);
  t.equal(pendingDrops(harness), 0, 'the grant is on record again, and nothing that it names is dropped');
  await commit();
  t.equal(pendingDrops(harness), 0);
});

t.test('a damaged replica is put aside when there is another one, and kept when it is the last', async t => {
  const harness = await startHarness(t);
  const { first, second, inode, stored, commit } = await start(harness);
  await commit();
  const tell = async (name: string, node: number) => {
    const request = { node, id: name.padEnd(8, '-'), totalBytes: 1, freeBytes: 1, chunks: 1, dropped: [] };
    return await harness.service.execute(heartbeat, { ...request, damaged: [stored.chunk] });
  };
  t.same((await tell('one', first)).quarantine, [stored.chunk]);
  t.same(await holders(harness, inode), [second]);
  t.same((await tell('two', second)).quarantine, [], 'the last one');
  t.same(await holders(harness, inode), [second]);
});

t.test('the status tells of every chunk', async t => {
  const harness = await startHarness(t);
  const { first, second, commit, stored } = await start(harness);
  await commit();
  const status = async (): Promise<RepairStatus> => {
    harness.service.repairStatus();
    await pass(harness, 3000, [
      ['one', first],
      ['two', second],
    ]);
    return harness.service.repairStatus();
  };
  t.match(await status(), { total: { chunks: 1, bytes: 100 }, lost: { chunks: 0 }, endangered: [] });
  await report(harness, 'one', first, [], [stored.chunk]);
  t.match(await status(), { endangered: [{ chunks: 1, bytes: 100 }] }, 'one replica is left');
  await report(harness, 'two', second, [], [stored.chunk]);
  t.match(await status(), { lost: { chunks: 1, bytes: 100 } });
});
