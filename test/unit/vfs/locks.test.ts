import { constants } from 'node:fs';
import t from 'tap';
import { systemClock } from '../../../src/platform/clock.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { LOST_CONNECTION_MS, MAX_FILE_BYTES } from '../../../src/protocol/limits.js';
import type { FileLock } from '../../../src/vfs/file-system.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { refusal } from '../metadata/support/harness.js';
import { Cable, connect, serve } from './support/connected-clients.js';

const OWNER = { mode: 0o644, uid: 0, gid: 0 };
const EXCLUSIVE: FileLock = {
  kind: 'flock',
  owner: 'a1',
  type: 'write',
  start: 0,
  end: MAX_FILE_BYTES,
  pid: 1,
};

async function openFile(vfs: Vfs, name = 'file'): Promise<number> {
  return (await vfs.create(ROOT_INODE, Buffer.from(name), OWNER, false, constants.O_RDWR)).handle;
}

t.test('a client that was cut off and lost its lock is told, and can go on with a new handle', async t => {
  const server = await serve(t);
  const cable = new Cable();
  const [first, second] = [await connect(t, server, cable), await connect(t, server)];
  const [mine, theirs] = [await openFile(first), await openFile(second)];
  const other = await openFile(first, 'other');
  await first.lock(mine, EXCLUSIVE, false);
  t.equal(await refusal(second.lock(theirs, EXCLUSIVE, false)), 'EAGAIN');
  cable.cut();
  await second.lock(theirs, EXCLUSIVE, true);
  cable.mend();
  t.equal(await refusal(first.lock(other, EXCLUSIVE, false)), 'OK', 'other files are as they were');
  t.equal(await refusal(first.read(mine, 0, 1)), 'EIO');
  t.equal(await refusal(first.write(mine, 0, Buffer.from('x'))), 'EIO');
  t.equal(await refusal(first.lock(mine, EXCLUSIVE, false)), 'EIO');
  await first.release(mine, EXCLUSIVE.owner);
  const again = await openFile(first);
  t.equal(await refusal(first.lock(again, EXCLUSIVE, false)), 'EAGAIN');
  await second.unlock(theirs, EXCLUSIVE);
  t.equal(await refusal(first.lock(again, EXCLUSIVE, false)), 'OK');
});

t.test('a connection that breaks and comes back costs no lock', async t => {
  const server = await serve(t);
  const cable = new Cable();
  const [first, second] = [await connect(t, server, cable), await connect(t, server)];
  const [mine, theirs] = [await openFile(first), await openFile(second)];
  await first.lock(mine, EXCLUSIVE, false);
  const waiting = second.lock(theirs, EXCLUSIVE, true);
  for (let time = 0; time < 3; time += 1) {
    cable.cut();
    cable.mend();
    await first.getattr(first.inodeOf(mine));
    t.equal(await refusal(second.testLock(theirs, EXCLUSIVE)), 'OK');
    t.equal((await second.testLock(theirs, EXCLUSIVE))?.type, 'write');
  }
  await first.unlock(mine, EXCLUSIVE);
  await waiting;
});

t.test('an idle client comes back by itself, in time to keep its lock', async t => {
  const server = await serve(t);
  const cable = new Cable();
  const [first, second] = [await connect(t, server, cable), await connect(t, server)];
  const [mine, theirs] = [await openFile(first), await openFile(second)];
  await first.lock(mine, EXCLUSIVE, false);
  cable.cut();
  cable.mend();
  const stop = new AbortController();
  const waiting = refusal(second.lock(theirs, EXCLUSIVE, true, stop.signal));
  const timer = systemClock.setTimer(LOST_CONNECTION_MS + 3000, () => stop.abort());
  t.teardown(() => timer.cancel());
  t.equal(await waiting, 'EINTR');
  t.equal(await refusal(first.write(mine, 0, Buffer.alloc(0))), 'OK');
});

t.test('waiting ends at once when a signal comes, also while the server is away', async t => {
  const server = await serve(t);
  const cable = new Cable();
  const [first, second] = [await connect(t, server), await connect(t, server, cable)];
  const [mine, theirs] = [await openFile(first), await openFile(second)];
  await first.lock(mine, EXCLUSIVE, false);
  for (const isCut of [false, true]) {
    const stop = new AbortController();
    const waiting = refusal(second.lock(theirs, EXCLUSIVE, true, stop.signal));
    await first.getattr(ROOT_INODE);
    if (isCut) cable.cut();
    const start = performance.now();
    stop.abort();
    t.equal(await waiting, 'EINTR');
    t.ok(performance.now() - start < 2000);
  }
  cable.mend();
  await first.unlock(mine, EXCLUSIVE);
  await second.getattr(ROOT_INODE);
  t.equal(await refusal(first.lock(mine, EXCLUSIVE, false)), 'OK', 'nobody waits any more');
});

t.test('a handle that is given back takes its locks along', async t => {
  const server = await serve(t);
  const [first, second] = [await connect(t, server), await connect(t, server)];
  const [mine, theirs] = [await openFile(first), await openFile(second)];
  await first.lock(mine, EXCLUSIVE, false);
  const posix = { ...EXCLUSIVE, kind: 'posix' } as const;
  await first.lock(mine, posix, false);
  await first.flush(mine, 'b2');
  t.equal(await refusal(second.lock(theirs, posix, false)), 'EAGAIN', 'another owner closed the file');
  await first.flush(mine, posix.owner);
  t.equal(await refusal(second.lock(theirs, posix, false)), 'OK');
  // close(2) does not wait for this, but who locks next does.
  const releasing = first.release(mine, EXCLUSIVE.owner);
  const again = await openFile(first);
  t.equal(await refusal(first.lock(again, { ...EXCLUSIVE, owner: 'c3' }, false)), 'OK');
  await releasing;
});
