/**
 * What a client has to itself, and another one wants: where file systems with such leases have gone wrong (ceph #27866, #60411,
 * Lustre LU-13010, nfsd), and this one does not.
 */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { isDoneWithin, systemClock } from '../../../src/platform/clock.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { FileHandle } from '../../../src/vfs/file-system.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { waitUntil } from '../../support/wait-until.js';
import { FailingDisk } from '../datanode/store-fixture.js';
import { refusal } from '../metadata/support/harness.js';
import { connect, serve, startDataNode } from './support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const KEEPER = { drop: async () => undefined, dropAll: async () => undefined };
const name = (text: string): Buffer => Buffer.from(text);
/** Shorter than a request waits for an answer before it is sent again. */
const APPEND_LIMIT_MS = 12_000;

/** Two clients that cache, the first of which has a directory to itself, and a data node. */
async function two(t: Test) {
  const server = await serve(t);
  const disk = new FailingDisk();
  await startDataNode(t, server, disk);
  const holder = await connect(t, server);
  await holder.keepCaches(KEEPER);
  const other = await connect(t, server);
  await other.keepCaches(KEEPER);
  return { server, disk, holder, other, directory: await ownDirectory(holder, 'own') };
}

async function ownDirectory(client: Vfs, called: string): Promise<number> {
  const { inode } = await client.mkdir(ROOT_INODE, name(called), OWNER);
  await client.mkdir(inode, name('first'), OWNER);
  await waitUntil(() => client.hasToItself(inode), { what: 'the client has the directory to itself' });
  return inode;
}

async function created(
  client: Vfs,
  directory: number,
  called: string,
): Promise<{ readonly inode: number; readonly handle: FileHandle }> {
  const flags = constants.O_RDWR;
  const { handle, attributes } = await client.create(directory, name(called), OWNER, true, flags);
  return { handle, inode: attributes.inode };
}

const content = async (client: Vfs, handle: FileHandle): Promise<string> =>
  Buffer.concat(await client.read(handle, 0, 1000)).toString();

t.test('a link that another client makes elsewhere counts for who has the directory to itself', async t => {
  const { holder, other, directory } = await two(t);
  const { inode, handle } = await created(holder, directory, 'file');
  await holder.release(handle);
  await other.link(inode, ROOT_INODE, name('second'));
  t.equal((await holder.getattr(inode)).nlink, 2);
  await holder.unlink(directory, name('file'));
  t.equal((await holder.getattr(inode)).nlink, 1, 'it is still there');
  t.equal((await other.lookup(ROOT_INODE, name('second'))).nlink, 1);
});

t.test('a file that is open stays readable when another client takes its last name away', async t => {
  const { holder, other, directory } = await two(t);
  const { inode, handle } = await created(holder, directory, 'file');
  await holder.write(handle, 0, name('content'));
  await other.unlink(directory, name('file'));
  t.equal(await content(holder, handle), 'content');
  await holder.write(handle, 7, name(' and more'));
  t.equal(await refusal(holder.fsync(handle)), 'OK');
  t.equal(await content(holder, handle), 'content and more');
  t.equal((await holder.getattr(inode)).nlink, 0);
  await holder.release(handle);
  await waitUntil(async () => (await refusal(other.getattr(inode))) === 'ENOENT', {
    what: 'it is gone with its last handle',
  });
});

t.test('full data nodes at a recall: the holder is told ENOSPC, and nobody hangs', async t => {
  const { holder, other, directory, disk } = await two(t);
  const { inode, handle } = await created(holder, directory, 'file');
  disk.roomBytes = 0;
  disk.availableBytes = 0;
  await holder.write(handle, 0, Buffer.alloc(300_000));
  t.equal((await other.getattr(inode)).size, 0, 'nothing of it was stored');
  t.equal(await refusal(holder.fsync(handle)), 'ENOSPC');
  await holder.release(handle);
});

t.test('two clients that each have what the other’s rename needs both finish', async t => {
  const { holder, other, directory } = await two(t);
  const theirs = await ownDirectory(other, 'theirs');
  await created(holder, directory, 'a');
  await created(other, theirs, 'b');
  const swap = async (client: Vfs, called: string, from: number, to: number): Promise<void> => {
    for (let round = 0; round < 50; round += 1) {
      const [source, target] = round % 2 === 0 ? [from, to] : [to, from];
      t.equal(await refusal(client.rename(source, name(called), target, name(called), 0)), 'OK');
    }
  };
  await Promise.all([swap(holder, 'a', directory, theirs), swap(other, 'b', theirs, directory)]);
  t.ok(await holder.lookup(directory, name('a')));
  t.ok(await holder.lookup(theirs, name('b')));
});

t.test('what its holder asks of the server is recalled from nobody', async t => {
  const { holder, directory } = await two(t);
  const { inode, handle } = await created(holder, directory, 'file');
  await holder.release(handle);
  // A device is made by the server, which reads the directory for that.
  await holder.mknod(directory, name('null'), { ...OWNER, mode: 0o020666 }, 0x103);
  t.ok(holder.hasToItself(directory), 'the directory');
  t.ok(holder.hasToItself(inode), 'and the file');
});

t.test('four clients that open one file and append to it wait for nobody who waits for them', async t => {
  const server = await serve(t);
  await startDataNode(t, server, new FailingDisk());
  const clients = await Promise.all(Array.from({ length: 4 }, async () => await connect(t, server)));
  for (const client of clients) await client.keepCaches(KEEPER);
  const [first] = clients;
  if (!first) throw new Error('four clients');
  const { inode, handle } = await created(first, ROOT_INODE, 'log');
  await first.release(handle);
  const rounds = 10;
  const line = name('a line of this client\n');
  const append = async (client: Vfs): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      // What it has kept it opens without asking, and tells the server when it is to drop that.
      await client.getattr(inode);
      const opened = await client.open(inode, constants.O_WRONLY | constants.O_APPEND);
      for (let count = 0; count < 5; count += 1) await client.write(opened, 0, line, { isAppend: true });
      await client.release(opened);
    }
  };
  const appended = Promise.all(clients.map(append));
  t.ok(await isDoneWithin(systemClock, APPEND_LIMIT_MS, appended), 'nobody hangs');
  await appended;
  t.equal((await first.getattr(inode)).size, clients.length * rounds * 5 * line.length, 'nothing is lost');
});
