/** fsync: what it waits for, with data nodes that sync when the test says so. */
import t from 'tap';
import type { Client } from '../../../src/client/client.js';
import type { ReadRange } from '../../../src/client/content/content-reader.js';
import { ExtentMap } from '../../../src/client/content/extent-map.js';
import { DfsError } from '../../../src/protocol/errors.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { FileDurability } from '../../../src/vfs/file-durability.js';
import { UnsyncedChunks } from '../../../src/vfs/unsynced-chunks.js';
import { ascending } from '../../support/ascending.js';
import { rest } from './support/scripted-commits.js';

const VERSION = 3;

/** What the metadata server names of what others have stored. */
interface UnsyncedReplica {
  readonly node: number;
  readonly chunk: number;
}

interface PendingSync {
  readonly node: number;
  readonly chunks: readonly number[];
  readonly succeed: (absent?: readonly number[]) => void;
  readonly fail: (reason: DfsError) => void;
}

/** A file of which chunk 5 on node 1 and chunk 6 on node 2 are not synced. */
function unsyncedFile({
  trackedVersion = VERSION,
  replicas = [],
}: { readonly trackedVersion?: number; readonly replicas?: readonly UnsyncedReplica[] } = {}) {
  const syncs: PendingSync[] = [];
  const warnings: unknown[] = [];
  let unsynced = new UnsyncedChunks();
  unsynced.add([1], 5, 0, 10);
  unsynced.add([2], 6, 10, 20);
  // fsync uses no more of a client than this.
  const client = {
    writer: {
      sync: async (node: number, chunks: Iterable<number>) =>
        await new Promise<readonly number[]>((resolve, reject) => {
          syncs.push({ node, chunks: [...chunks], succeed: (absent = []) => resolve(absent), fail: reject });
        }),
    },
    content: { locate: async () => [] },
    session: {
      isSynced: true,
      sync: async () => undefined,
      ask: async () => ({ attributes: { version: VERSION, size: 20 }, replicas }),
    },
    liveNodes: async () => [1, 2, 3],
    log: { warn: (told: unknown) => warnings.push(told) },
  } as unknown as Client;
  const durability = new FileDurability(
    client,
    {
      inode: 7,
      extents: new ExtentMap(),
      writer: {
        takeUnsynced: () => {
          const taken = unsynced;
          unsynced = new UnsyncedChunks();
          return taken;
        },
        putBackUnsynced: taken => unsynced.addAll(taken),
      },
      attributes: () => ({ version: VERSION }) as Attributes,
      noteAttributes: () => undefined,
      size: () => 20,
      range: (offset, length) => ({ offset, length }) as ReadRange,
      committed: () => undefined,
    },
    trackedVersion,
  );
  const wasSynced = async (work: Promise<void>): Promise<boolean> =>
    await Promise.race([work.then(() => true), rest().then(() => false)]);
  return { durability, syncs, warnings, wasSynced };
}

t.test('fsync asks the nodes that hold unsynced chunks, and waits for all of them', async t => {
  const { durability, syncs, wasSynced } = unsyncedFile();
  const syncing = durability.sync();
  await rest();
  t.match(syncs, [
    { node: 1, chunks: [5] },
    { node: 2, chunks: [6] },
  ]);
  syncs[0]?.succeed();
  t.notOk(await wasSynced(syncing));
  syncs[1]?.succeed();
  t.ok(await wasSynced(syncing));
  await durability.sync();
  t.equal(syncs.length, 2, 'nothing is left to be synced');
});

t.test('fsync waits for what the background has taken over to sync', async t => {
  const { durability, syncs, wasSynced } = unsyncedFile();
  void durability.syncInBackground();
  await rest();
  const syncing = durability.sync();
  t.notOk(await wasSynced(syncing), 'it does not return before that is on stable storage');
  t.equal(syncs.length, 2);
  for (const sync of syncs) sync.succeed();
  t.ok(await wasSynced(syncing));
});

t.test('of two that fsync one file, neither returns before both nodes have synced', async t => {
  const { durability, syncs, wasSynced } = unsyncedFile();
  const [first, second] = [durability.sync(), durability.sync()];
  await rest();
  t.notOk(await wasSynced(second));
  for (const sync of syncs) sync.succeed();
  t.ok(await wasSynced(first));
  t.ok(await wasSynced(second));
});

t.test('what the background could not make durable, fsync does', async t => {
  const { durability, syncs, warnings, wasSynced } = unsyncedFile();
  const failing = new DfsError('EIO', 'the chunks cannot be located');
  void durability.syncInBackground();
  await rest();
  // Nothing of it is in the file, so nothing is stored anew.
  syncs[0]?.fail(failing);
  syncs[1]?.succeed([6]);
  await rest();
  t.equal(warnings.length, 1);
  t.ok(await wasSynced(durability.sync()));
});

t.test('of a file that others wrote every live node is asked', async t => {
  const { durability, syncs, wasSynced } = unsyncedFile({ trackedVersion: -1 });
  const syncing = durability.sync();
  await rest();
  t.same(syncs.map(({ node }) => node).sort(ascending), [1, 1, 2, 2, 3]);
  for (const sync of syncs) sync.succeed();
  t.ok(await wasSynced(syncing));
  await durability.sync();
  t.equal(syncs.length, 5, 'this version is known from here on');
});

t.test('of a file that others wrote the nodes are asked for what the server names', async t => {
  const { durability, syncs, wasSynced } = unsyncedFile({
    trackedVersion: -1,
    replicas: [
      { node: 1, chunk: 70 },
      { node: 3, chunk: 70 },
      { node: 3, chunk: 71 },
    ],
  });
  const syncing = durability.sync();
  await rest();
  const asked = syncs.map(({ node, chunks }) => `${node}: ${chunks.join(' ')}`).toSorted();
  t.same(asked, ['1: 5', '1: 70', '2: ', '2: 6', '3: 70 71']);
  for (const sync of syncs) sync.succeed();
  t.ok(await wasSynced(syncing));
});

t.test(
  'after the server was started anew nothing is taken for known, not even by an fsync under way',
  async t => {
    const { durability, syncs, wasSynced } = unsyncedFile({ trackedVersion: -1 });
    const syncing = durability.sync();
    await rest();
    durability.forget();
    for (const sync of syncs.splice(0)) sync.succeed();
    t.ok(await wasSynced(syncing));
    void durability.sync();
    await rest();
    t.equal(syncs.length, 3, 'all nodes are asked again');
    for (const sync of syncs) sync.succeed();
  },
);
