/** What umount(8) gives umount.fuse.dfs (cli/mount/umount-helper.ts). */
import t from 'tap';
import { umountCall } from '../../../../src/cli/mount/umount-helper.js';

t.test('arguments come as umount(8) gives them', async t => {
  t.same(umountCall(['/mnt/dfs']), { mountPoint: '/mnt/dfs', flags: [], isWaiting: true });
  t.same(umountCall(['/mnt/dfs', '-n', '-v', '-r', '-t', 'fuse.dfs']), {
    mountPoint: '/mnt/dfs',
    flags: ['-n', '-v', '-r'],
    isWaiting: true,
  });
});

t.test('what is detached, forced, or in another namespace is not waited for', async t => {
  for (const flags of [['-l'], ['-f'], ['-N', '/proc/1/ns/mnt']])
    t.same(umountCall(['/mnt/dfs', ...flags]), { mountPoint: '/mnt/dfs', flags, isWaiting: false });
});

t.test('what umount(8) does not give is refused', async t => {
  t.throws(() => umountCall([]), /one directory/);
  t.throws(() => umountCall(['/mnt/a', '/mnt/b']), /one directory/);
  t.throws(() => umountCall(['/mnt/dfs', '-t']), /-t needs a value/);
  t.throws(() => umountCall(['/mnt/dfs', '--lazy']), /there is no option --lazy/);
});
