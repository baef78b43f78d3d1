import t from 'tap';
import { parseGroups, supplementaryGroups } from '../../../src/fuse/kernel/caller-groups.js';

t.test('the groups of a process are those of /proc/PID/status', async t => {
  t.same(parseGroups('Name:\tx\nGid:\t1\t1\t1\t1\nGroups:\t4 24 1000 \nNStgid:\t7\n'), [4, 24, 1000]);
  t.same(parseGroups('Name:\tx\nGroups:\t \n'), []);
  // getgroups(2) may name the effective group as well.
  const groups = await supplementaryGroups(process.pid);
  t.ok(groups.every(group => process.getgroups?.().includes(group)));
  t.same(await supplementaryGroups(0x7fff_ffff), [], 'no such process');
});
