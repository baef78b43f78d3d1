import t from 'tap';
import { escapeMountPoint, mountAt, parseMountTable } from '../../../src/fuse/mount-table.js';

t.test('mount points with odd names and optional fields are read as the kernel writes them', async t => {
  const text = [
    '22 1 0:20 / /proc rw,relatime shared:5 - proc proc rw',
    '40 22 0:39 / /mnt/a\\040b\\134c rw,nosuid - fuse.dfs dfs@127.0.0.1:8000 rw,user_id=0',
    '',
  ].join('\n');
  t.same(parseMountTable(text), [
    { id: 22, mountPoint: '/proc', type: 'proc', source: 'proc', deviceMinor: 20 },
    {
      id: 40,
      mountPoint: '/mnt/a b\\c',
      type: 'fuse.dfs',
      source: 'dfs@127.0.0.1:8000',
      deviceMinor: 39,
      userId: 0,
    },
  ]);
  t.equal(escapeMountPoint('/mnt/a b\\c\n\t'), '/mnt/a\\040b\\134c\\012\\011');
});

t.test('what waits to mount something is no mount, before and after', async t => {
  const waiting = '22 1 0:20 / /mnt/dfs rw,relatime shared:5 - autofs systemd-1 rw,fd=42';
  const mounted = '40 22 0:39 / /mnt/dfs rw,nosuid - fuse.dfs dfs@10.0.0.1:8000 rw,user_id=0';
  t.equal(mountAt(parseMountTable(waiting), '/mnt/dfs'), undefined);
  t.equal(mountAt(parseMountTable(`${waiting}\n${mounted}`), '/mnt/dfs')?.id, 40);
  t.equal(mountAt(parseMountTable(`${mounted}\n${waiting}`), '/mnt/dfs')?.id, 40);
});
