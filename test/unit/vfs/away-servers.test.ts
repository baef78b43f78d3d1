/** What programs are told while servers are away: in time, with the truth, and with no handle lost. */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { MAX_FILE_BYTES } from '../../../src/protocol/limits.js';
import type { FileHandle, FileLock } from '../../../src/vfs/file-system.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { waitUntil } from '../../support/wait-until.js';
import { FailingDisk } from '../datanode/store-fixture.js';
import { refusal } from '../metadata/support/harness.js';
import { Cable, connect, serve, startDataNode } from './support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const KEEPER = { drop: async () => undefined, dropAll: async () => undefined };
const TIMEOUT_MS = 1500;
/** Longer than any operation waits for servers that are away. */
const HANG_MS = 4 * TIMEOUT_MS;
/** So much is copied by sharing chunks. */
const COPIED_BYTES = 100_000;
const POSIX: FileLock = {
  kind: 'posix',
  owner: 'a1',
  type: 'write',
  start: 0,
  end: MAX_FILE_BYTES,
  pid: 1,
};
const name = (text: string): Buffer => Buffer.from(text);

/** Fails the test instead of hanging. */
async function inTime(work: Promise<unknown>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>(resolve => {
    timer = setTimeout(() => resolve('it hangs'), HANG_MS);
  });
  const done = await Promise.race([refusal(work), late]);
  clearTimeout(timer);
  return done;
}

/** A client that decides alone, in a directory of its own, and one data node that has just taken a chunk of it. */
async function alone(t: Test, timeoutMs = TIMEOUT_MS) {
  const server = await serve(t);
  const cable = new Cable();
  const vfs = await connect(t, server, cable, { timeoutMs });
  const disk = new FailingDisk();
  const node = await startDataNode(t, server, disk);
  await vfs.keepCaches(KEEPER);
  const { inode: directory } = await vfs.mkdir(ROOT_INODE, name('own'), OWNER);
  const warm = await created(vfs, directory, 'warm');
  await vfs.write(warm, 0, name('content'));
  await vfs.fsync(warm);
  await vfs.release(warm);
  await vfs.fsyncDirectory(directory);
  await waitUntil(() => vfs.hasToItself(directory), { what: 'the client has the directory to itself' });
  const cutNode = (): void => cable.cut(node.endpoint.port);
  return { server, cable, vfs, directory, disk, cutNode };
}

async function created(vfs: Vfs, directory: number, called: string): Promise<FileHandle> {
  const { handle } = await vfs.create(directory, name(called), OWNER, true, constants.O_RDWR);
  return handle;
}

/** The inode of a file whose bytes a close acknowledged, and that no data node has. */
async function closedAhead(
  vfs: Vfs,
  directory: number,
  cutNode: () => void,
  isAppend = false,
): Promise<number> {
  const handle = await created(vfs, directory, 'file');
  await vfs.fsyncDirectory(directory);
  await vfs.write(handle, 0, name('acknowledged'), { isAppend });
  cutNode();
  await vfs.flush(handle);
  // The kernel waits for no RELEASE, and this one lasts until the bytes are stored or given up.
  const inode = vfs.inodeOf(handle);
  vfs.release(handle).catch(() => undefined);
  return inode;
}

t.test(
  'behind bytes that an earlier close acknowledged nothing waits for data nodes without end',
  async t => {
    const { vfs, directory, cutNode, cable } = await alone(t);
    const other = await created(vfs, directory, 'other');
    await vfs.write(other, 0, Buffer.alloc(COPIED_BYTES));
    await vfs.fsync(other);
    const handle = await created(vfs, directory, 'file');
    const second = await vfs.open(vfs.inodeOf(handle), constants.O_RDWR);
    await vfs.write(handle, 0, Buffer.alloc(COPIED_BYTES, 1));
    cutNode();
    t.equal(await inTime(vfs.flush(handle)), 'OK', 'the close is acknowledged');
    const waiting: Record<string, () => Promise<unknown>> = {
      fallocate: async () => await vfs.fallocate(second, 1, 0, 4096),
      'copy_file_range from it': async () => await vfs.copyRange(second, 0, other, 0, 1 << 20),
      'copy_file_range to it': async () => await vfs.copyRange(other, 0, second, 0, 1 << 20),
      lseek: async () => await vfs.seek(second, 0, 'hole'),
      'a read lock': async () => await vfs.lock(second, { ...POSIX, type: 'read' }, false),
      unlock: async () => await vfs.unlock(second, POSIX),
    };
    await Promise.all(
      Object.entries(waiting).map(async ([what, work]) => t.equal(await inTime(work()), 'EIO', what)),
    );
    t.equal(await inTime(vfs.flush(second)), 'EIO', 'close');
    cable.mend();
    await waitUntil(async () => (await refusal(vfs.seek(second, 0, 'hole'))) === 'OK', {
      what: 'the bytes are stored',
    });
    t.equal(
      (await vfs.getattr(vfs.inodeOf(second))).size,
      COPIED_BYTES,
      'what was acknowledged went on being tried',
    );
    t.equal(await refusal(vfs.flush(second)), 'OK');
  },
);

t.test(
  'what an earlier close acknowledged is cut while data nodes are away, and what is left is stored later',
  async t => {
    const { server, vfs, directory, cutNode, cable } = await alone(t);
    const shortened = await closedAhead(vfs, directory, cutNode);
    t.equal(await inTime(vfs.setattr(shortened, { size: 3 })), 'OK', 'truncate');
    t.equal((await vfs.getattr(shortened)).size, 3);
    cable.mend();
    const again = await vfs.open(shortened, constants.O_RDWR);
    await vfs.fsync(again);
    const other = await connect(t, server);
    const theirs = await other.open(shortened, constants.O_RDONLY);
    t.equal(Buffer.concat(await other.read(theirs, 0, 100)).toString(), 'ack');
    t.equal(await inTime(vfs.setattr(shortened, { size: 0 })), 'OK');
    t.equal((await other.getattr(shortened)).size, 0);
    await vfs.release(again);
    await other.release(theirs);
  },
);

t.test('an open empties a file whose bytes an earlier close acknowledged and no data node has', async t => {
  const { server, vfs, directory, cutNode, cable } = await alone(t);
  const inode = await closedAhead(vfs, directory, cutNode);
  const handle = await vfs.open(inode, constants.O_RDWR | constants.O_TRUNC);
  t.equal(await inTime(vfs.fsync(handle)), 'OK', 'nothing is left that a data node has to take');
  t.equal((await (await connect(t, server)).getattr(inode)).size, 0);
  cable.mend();
  await vfs.release(handle);
});

t.test(
  'an open that has to empty a file at the server fails in time while what an earlier close acknowledged is nowhere',
  async t => {
    const { vfs, directory, cutNode, cable } = await alone(t);
    // Where what is appended ends up, only the server knows: it is not cut before it is there.
    const inode = await closedAhead(vfs, directory, cutNode, true);
    t.equal(await inTime(vfs.open(inode, constants.O_RDWR | constants.O_TRUNC)), 'EIO');
    cable.mend();
    await waitUntil(
      async () => (await refusal(vfs.open(inode, constants.O_RDWR | constants.O_TRUNC))) === 'OK',
      {
        what: 'the bytes are stored, and the file is emptied',
      },
    );
  },
);

t.test('a close under a lock gives up what no data node takes, says so, and lets the lock go', async t => {
  const { server, vfs, directory, cutNode } = await alone(t);
  const handle = await created(vfs, directory, 'file');
  const inode = vfs.inodeOf(handle);
  await vfs.lock(handle, POSIX, false);
  await vfs.write(handle, 0, name('locked'));
  cutNode();
  t.equal(await inTime(vfs.flush(handle, POSIX.owner)), 'EIO');
  const other = await connect(t, server);
  const theirs = await other.open(inode, constants.O_RDWR);
  t.equal(await refusal(other.lock(theirs, POSIX, false)), 'OK');
  await vfs.release(handle);
});

t.test(
  'a recall waits for no data node that is away, and the session goes on',
  { timeout: 60_000 },
  async t => {
    const { server, vfs, directory, cutNode, cable } = await alone(t, 60_000);
    const inode = await closedAhead(vfs, directory, cutNode);
    const other = await connect(t, server);
    t.equal((await other.getattr(inode)).size, 0, 'another client sees the file without the bytes');
    const again = await vfs.open(inode, constants.O_RDWR);
    t.equal(await refusal(vfs.fsync(again)), 'EIO', 'who opens it next is told');
    t.equal(
      await refusal(vfs.fsyncDirectory(directory)),
      'OK',
      'no name was lost, and the session is the same',
    );
    cable.mend();
    await vfs.write(again, 0, name('anew'));
    t.equal(await refusal(vfs.fsync(again)), 'OK');
    t.equal((await other.getattr(inode)).size, 4);
    await vfs.release(again);
  },
);

t.test('full data nodes: close and fsync report ENOSPC at once', async t => {
  const { vfs, directory, disk } = await alone(t, 20_000);
  const handle = await created(vfs, directory, 'large');
  disk.roomBytes = 0;
  disk.availableBytes = 0;
  await vfs.write(handle, 0, Buffer.alloc(300_000));
  t.match(await inTime(vfs.fsync(handle)), 'ENOSPC');
  await vfs.release(handle);
});

t.test('an open that fails after the server has opened the file leaves no handle', async t => {
  const server = await serve(t);
  const cable = new Cable();
  const vfs = await connect(t, server, cable, { timeoutMs: TIMEOUT_MS });
  await vfs.keepCaches(KEEPER);
  const made = await created(vfs, ROOT_INODE, 'file');
  const inode = vfs.inodeOf(made);
  await vfs.release(made);
  const other = await connect(t, server);
  await other.getattr(inode);
  await vfs.getattr(inode);
  // The attributes are kept, so that the open asks nobody; emptying a file that others use does.
  cable.cut();
  t.equal(await inTime(vfs.open(inode, constants.O_RDWR | constants.O_TRUNC)), 'EIO');
  cable.mend();
  await isGoneWithItsName(other, inode);
});

/** Whether nobody has the file open by the server's knowledge. */
async function isGoneWithItsName(other: Vfs, inode: number): Promise<void> {
  await other.unlink(ROOT_INODE, name('file'));
  await waitUntil(async () => (await refusal(other.getattr(inode))) === 'ENOENT', {
    deadlineMs: 10_000,
    what: 'the file is gone with its last name',
  });
}

t.test('a handle whose unlocking is refused is given back all the same', async t => {
  const server = await serve(t);
  const cable = new Cable();
  const vfs = await connect(t, server, cable, { timeoutMs: TIMEOUT_MS });
  const handle = await created(vfs, ROOT_INODE, 'file');
  const inode = vfs.inodeOf(handle);
  await vfs.lock(handle, { ...POSIX, kind: 'flock' }, false);
  cable.cut();
  t.equal(await inTime(vfs.release(handle, POSIX.owner)), 'EIO');
  cable.mend();
  await isGoneWithItsName(await connect(t, server), inode);
});

t.test('the end of a mount gives up what a close acknowledged while the metadata server is away', async t => {
  const { server, cable, vfs, directory } = await alone(t);
  const handle = await created(vfs, directory, 'file');
  await vfs.write(handle, 0, name('acknowledged'));
  cable.cut(server.endpoint.port);
  t.equal(await inTime(vfs.flush(handle)), 'OK', 'the close is acknowledged');
  vfs.release(handle).catch(() => undefined);
  t.equal(await inTime(vfs.close()), 'EIO');
});
