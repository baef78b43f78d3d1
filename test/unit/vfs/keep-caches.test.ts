/** A client that begins to keep what it is told (client/leases/cache-lease.ts). */
import t from 'tap';
import { sleep, systemClock } from '../../../src/platform/clock.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { connect, serve } from './support/connected-clients.js';

// A kernel that is told to drop the root's attributes while it asks for them the first time goes on with what it has:
// nobody's permission (fs/fuse: fuse_change_attributes, fuse_permission).
t.test('nothing is dropped any more when the mount is made', async t => {
  const vfs = await connect(t, await serve(t));
  let isDropped = false;
  const lease = await vfs.keepCaches({
    drop: async () => undefined,
    dropAll: async () => {
      // Later than what is under way.
      await sleep(systemClock, 50);
      isDropped = true;
    },
  });
  t.ok(isDropped, 'what was kept before the lease is dropped');
  t.ok(lease.mayKeepNames(lease.ticket(), ROOT_INODE), 'and the lease has begun');
});
