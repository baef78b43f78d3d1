/** Written data of an inode is settled within a patience, whatever becomes of the data nodes. */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { Client } from '../../../src/client/client.js';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/log.js';
import { systemRandom } from '../../../src/platform/random.js';
import { put } from '../../../src/protocol/content-commands.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { FileHandle } from '../../../src/vfs/file-system.js';
import { OpenFiles } from '../../../src/vfs/open-files.js';
import { AS_CLIENT } from '../../support/test-keys.js';
import { waitUntil } from '../../support/wait-until.js';
import { FailingDisk } from '../datanode/store-fixture.js';
import { refusal } from '../metadata/support/harness.js';
import { Cable, connect, serve, startDataNode } from './support/connected-clients.js';

const PATIENCE_MS = 800;
const CHUNK_BYTES = 64 << 10;
const ALONE_MS = 20_000;

/** The open files of a client whose one data node has just taken a chunk, and another client that looks. */
async function openFiles(t: Test) {
  const server = await serve(t);
  const cable = new Cable();
  const options = {
    network: cable,
    clock: systemClock,
    random: systemRandom,
    log: createLogger('test', 'silent'),
    ...AS_CLIENT,
    metadata: server.endpoint,
    goal: 1,
    timeoutMs: 60_000,
    dirtyBytes: 1 << 20,
    cacheBytes: 1 << 20,
    readAheadBytes: 0,
    chunkBytes: CHUNK_BYTES,
    clientName: 'test',
  };
  const client = await Client.open(options);
  const displaced: number[] = [];
  const landed: number[] = [];
  const files = new OpenFiles(
    client,
    options,
    { following: () => undefined },
    { onDisplaced: inode => void displaced.push(inode), onLanded: inode => void landed.push(inode) },
  );
  const disk = new FailingDisk();
  const node = await startDataNode(t, server, disk);
  // Before the data node is closed.
  t.teardown(async () => {
    cable.mend();
    await files.close().catch(() => undefined);
    await client.close();
  });
  await client.session.beginCaching();
  const create = async (name: string): Promise<FileHandle> => {
    const creation = { mode: 0o644, uid: 0, gid: 0, exclusive: true, count: 0, goal: 1 };
    const request = { parent: ROOT_INODE, name: Buffer.from(name), ...creation, maxBytes: CHUNK_BYTES };
    const ticket = client.session.attributes.ticket();
    const { attributes } = await client.session.ordered.execute(put, { ...request, exclude: [] });
    client.session.opens.recordOpen(attributes.inode);
    return files.add(attributes, constants.O_RDWR, ticket, true);
  };
  await waitUntil(
    async () => {
      const handle = await create(`warm${performance.now()}`);
      await files.write(handle, 0, Buffer.from('warm'));
      await files.fsync(handle);
      await files.release(handle);
      return client.session.changes.isOpen && client.session.held.has(ROOT_INODE);
    },
    { deadlineMs: ALONE_MS, what: 'the client decides alone' },
  );
  const other = await connect(t, server);
  const sizeOf = async (handle: FileHandle): Promise<number> => {
    return (await other.getattr(files.inodeOf(handle))).size;
  };
  return {
    files,
    client,
    create,
    disk,
    cable,
    sizeOf,
    displaced,
    landed,
    cutNode: () => cable.cut(node.endpoint.port),
  };
}

async function settled(files: OpenFiles, handle: FileHandle): Promise<number> {
  const beginMs = performance.now();
  await files.settle(files.inodeOf(handle), PATIENCE_MS);
  return performance.now() - beginMs;
}

t.test('what is written is committed by the server’s word', async t => {
  const { files, create, sizeOf } = await openFiles(t);
  const handle = await create('file');
  await files.write(handle, 0, Buffer.alloc(3 * CHUNK_BYTES));
  t.ok((await settled(files, handle)) < PATIENCE_MS);
  t.equal(await sizeOf(handle), 3 * CHUNK_BYTES);
  t.equal(await refusal(files.flush(handle)), 'OK');
  await files.settle(4711, PATIENCE_MS);
});

t.test(
  'attributes of what is pending may be kept when they are asked for often, until it is committed',
  async t => {
    const { files, create, landed } = await openFiles(t);
    const handle = await create('file');
    const inode = files.inodeOf(handle);
    const file = files.get(inode);
    t.ok(file?.mayKeepShown(), 'nothing is pending');
    await files.write(handle, 0, Buffer.from('pending'));
    const asked = Array.from({ length: 10 }, () => file?.mayKeepShown());
    t.same(asked, [...Array.from({ length: 8 }, () => false), true, true]);
    t.same(landed, []);
    await files.fsync(handle);
    t.same(landed, [inode], 'they are not so any more: less room is pending');
    await files.write(handle, 0, Buffer.from('again'));
    t.notOk(file?.mayKeepShown());
    await files.fsync(handle);
    t.same(landed, [inode], 'nobody was allowed to keep them');
  },
);

t.test('no data node answers: the rest is given up in time, and its programs are told', async t => {
  const { files, client, create, sizeOf, cutNode, cable, displaced } = await openFiles(t);
  const handle = await create('file');
  const inode = files.inodeOf(handle);
  await files.write(handle, 0, Buffer.from('stored'));
  await files.settle(inode, PATIENCE_MS);
  cutNode();
  await files.write(handle, 6, Buffer.alloc(2 * CHUNK_BYTES));
  const tookMs = await settled(files, handle);
  t.ok(tookMs > PATIENCE_MS / 2 && tookMs < 3 * PATIENCE_MS, `${Math.round(tookMs)} ms`);
  t.equal(files.get(inode)?.isDirty, false);
  t.same(displaced, [inode, inode], 'what caches showed is dropped');
  t.equal(await refusal(files.write(handle, 0, Buffer.from('x'))), 'EIO');
  t.equal(await sizeOf(handle), 6, 'what was committed before stays');
  cable.mend();
  await waitUntil(async () => (await refusal(client.liveNodes())) === 'OK', { what: 'the node is back' });
  await files.write(handle, 0, Buffer.from('anew, and longer'));
  t.equal(await refusal(files.fsync(handle)), 'OK', 'the session goes on');
  t.equal(await sizeOf(handle), 16);
});

t.test('no data node answers, and a program was told by close: the next open reports it', async t => {
  const { files, client, create, cutNode } = await openFiles(t);
  const handle = await create('file');
  const inode = files.inodeOf(handle);
  await waitUntil(() => client.session.changes.isOpen && client.session.held.has(inode), {
    what: 'the client decides alone',
  });
  await files.write(handle, 0, Buffer.from('acknowledged'));
  cutNode();
  await files.flush(handle);
  const releasing = files.release(handle);
  await files.settle(inode, PATIENCE_MS);
  await releasing;
  t.equal(files.get(inode), undefined, 'nothing is left of it');
  client.session.opens.recordOpen(inode);
  const attributes = await client.session.getattr(inode);
  const again = files.add(attributes, constants.O_RDWR, client.session.attributes.ticket());
  t.equal(await refusal(files.fsync(again)), 'EIO');
  t.equal(await refusal(files.fsync(again)), 'OK', 'told once');
});

t.test('data nodes are full: ENOSPC', async t => {
  const { files, create, disk, sizeOf } = await openFiles(t);
  const handle = await create('file');
  disk.roomBytes = 0;
  disk.availableBytes = 0;
  await files.write(handle, 0, Buffer.alloc(2 * CHUNK_BYTES));
  t.ok((await settled(files, handle)) < 3 * PATIENCE_MS);
  t.equal(await refusal(files.flush(handle)), 'ENOSPC');
  t.equal(await sizeOf(handle), 0);
});

t.test('writers that wait for room go on when what is in their way is given up', async t => {
  const { files, create, cutNode } = await openFiles(t);
  const [handle, other] = [await create('file'), await create('other')];
  cutNode();
  await files.write(handle, 0, Buffer.alloc(1 << 20));
  const waiting = files.write(other, 0, Buffer.alloc(CHUNK_BYTES));
  await files.settle(files.inodeOf(handle), PATIENCE_MS);
  t.equal(await waiting, CHUNK_BYTES);
});

t.test('the session is lost: files that are closing are given up as well', async t => {
  const { files, client, create, cutNode, cable, sizeOf } = await openFiles(t);
  const [open, closing] = [await create('open'), await create('closing')];
  const inode = files.inodeOf(closing);
  const seen = await create('seen');
  await waitUntil(() => client.session.changes.isOpen && client.session.held.has(inode), {
    what: 'the client decides alone',
  });
  await files.write(open, 0, Buffer.from('open'));
  await files.write(closing, 0, Buffer.from('closing'));
  cutNode();
  await files.flush(closing);
  const releasing = files.release(closing);
  t.equal(files.get(inode)?.isDirty, true, 'the close was acknowledged');
  client.session.onSessionLost();
  await releasing;
  t.equal(files.get(inode), undefined);
  t.equal(await refusal(files.flush(open)), 'EIO');
  cable.mend();
  await files.write(seen, 0, Buffer.from('after'));
  await files.fsync(seen);
  t.equal(await sizeOf(seen), 5);
  t.equal(await sizeOf(open), 0, 'nothing is put on top of what others did');
});
