/** A client whose session, open files and locks another one takes over (Vfs.suspend, VfsOptions.taken). */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { MAX_FILE_BYTES } from '../../../src/protocol/limits.js';
import { PredecessorMessage, type FileSystemState } from '../../../src/protocol/take-over.js';
import type { FileLock } from '../../../src/vfs/file-system.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import { refusal } from '../metadata/support/harness.js';
import { waitUntil } from '../../support/wait-until.js';
import { connect, serve, startDataNode } from './support/connected-clients.js';

const OWNER = { mode: 0o644, uid: 0, gid: 0 };
const LOCK: FileLock = { kind: 'posix', owner: 'a1', type: 'write', start: 0, end: MAX_FILE_BYTES, pid: 1 };
const KERNEL = {
  init: { minor: 44, flags: 0, flags2: 0, maxWrite: 1 << 20 },
  keepsNames: true,
  pageless: [],
  lockingGroups: [],
  told: [],
  directories: [],
  lastDirectory: 0,
  waiting: [],
};

async function create(vfs: Vfs, name: string): Promise<number> {
  return (await vfs.create(ROOT_INODE, Buffer.from(name), OWNER, false, constants.O_RDWR)).handle;
}

async function contentOf(vfs: Vfs, handle: number): Promise<string> {
  return Buffer.concat(await vfs.read(handle, 0, 1000)).toString();
}

/** Waits until nothing is under way, suspends, and returns the state as it travels. */
async function suspended(vfs: Vfs): Promise<FileSystemState> {
  let state: FileSystemState | undefined;
  await waitUntil(
    async () => {
      await vfs.handOver.settled();
      return (state = vfs.handOver.suspend()) !== undefined;
    },
    { what: 'nothing is under way', deadlineMs: 5000 },
  );
  if (!state) throw new Error('it waited for that');
  const sent = PredecessorMessage.encode({ say: 'state', fileSystem: state, kernel: KERNEL });
  const received = PredecessorMessage.decode(sent);
  if (received.say !== 'state') throw new Error('another message');
  return received.fileSystem;
}

/** A client that keeps what it is told, as a mount does. */
async function connectKeeping(
  t: Test,
  ...parameters: Parameters<typeof connect> extends [Test, ...infer Rest] ? Rest : never
) {
  const vfs = await connect(t, ...parameters);
  await vfs.keepCaches({ drop: async () => undefined, dropAll: async () => undefined });
  return vfs;
}

t.test('handles, what was written by them, and locks go over', async t => {
  const server = await serve(t);
  await startDataNode(t, server);
  const first = await connectKeeping(t, server);
  const other = await connect(t, server);
  const handle = await create(first, 'file');
  await first.write(handle, 0, Buffer.from('written before'));
  await first.lock(handle, LOCK, false);
  const nameless = await create(first, 'nameless');
  await first.write(nameless, 0, Buffer.from('still there'));
  await first.unlink(ROOT_INODE, Buffer.from('nameless'));
  const closed = await create(first, 'closed');
  await first.release(closed);

  const state = await suspended(first);
  const second = await connect(t, server, tcpNetwork, { taken: state });
  await first.handOver.leave();
  await second.keepCaches({ drop: async () => undefined, dropAll: async () => undefined });
  t.equal(await contentOf(second, handle), 'written before');
  t.equal(await contentOf(second, nameless), 'still there', 'a file without a name');
  t.equal(await refusal(second.read(closed, 0, 1)), 'EBADF');
  await second.write(handle, 8, Buffer.from('afterwards'));
  await second.flush(handle);
  const theirs = await other.open(
    (await other.lookup(ROOT_INODE, Buffer.from('file'))).inode,
    constants.O_RDWR,
  );
  t.equal(await contentOf(other, theirs), 'written afterwards', 'others see what was written since');
  t.equal(await refusal(other.lock(theirs, LOCK, false)), 'EAGAIN', 'the lock is held');
  const next = await create(second, 'next');
  t.notOk([handle, nameless].includes(next), 'a new handle has a number of its own');
  await second.release(handle);
  await other.lock(theirs, LOCK, true);
  t.pass('the lock goes with the handle by which it was taken');
});

t.test('a client that was not taken over goes on with its session', async t => {
  const server = await serve(t);
  await startDataNode(t, server);
  const first = await connectKeeping(t, server);
  const other = await connect(t, server);
  const handle = await create(first, 'file');
  await first.lock(handle, LOCK, false);
  await suspended(first);
  const waiting = first.mkdir(ROOT_INODE, Buffer.from('d'), { mode: 0o755, uid: 0, gid: 0 });
  first.handOver.goOn();
  t.equal((await waiting).nlink, 2, 'what was asked for meanwhile is done');
  await first.write(handle, 0, Buffer.from('x'));
  await first.flush(handle);
  const theirs = await other.open(
    (await other.lookup(ROOT_INODE, Buffer.from('file'))).inode,
    constants.O_RDWR,
  );
  t.equal(await contentOf(other, theirs), 'x');
  t.equal(await refusal(other.lock(theirs, LOCK, false)), 'EAGAIN', 'the lock is held');
});

t.test('a client that has written what nobody has stored is not suspended', async t => {
  const server = await serve(t);
  const first = await connect(t, server, tcpNetwork, { timeoutMs: 500 });
  const handle = await create(first, 'file');
  await first.write(handle, 0, Buffer.from('x'));
  t.equal(first.handOver.suspend(), undefined);
  t.equal(await refusal(first.flush(handle)), 'EIO', 'there is no data node');
  t.equal(await refusal(first.flush(handle)), 'OK', 'that was told once');
  const second = await connect(t, server, tcpNetwork, { taken: await suspended(first) });
  await first.handOver.leave();
  t.equal(await refusal(second.flush(handle)), 'OK', 'and is not told again');
  await second.release(handle);
});
