/** What every way of mounting shares (fuse/driver.ts). */
import t from 'tap';
import { privilegeOptions, sourceOption } from '../../../src/fuse/driver.js';

t.test('setuid and devices count on a mount only where each is asked for by name', async t => {
  t.same(privilegeOptions({ allowSuid: false, allowDevices: false }), ['nosuid', 'nodev']);
  t.same(privilegeOptions({ allowSuid: true, allowDevices: false }), ['suid', 'nodev']);
  t.same(privilegeOptions({ allowSuid: false, allowDevices: true }), ['nosuid', 'dev']);
});

t.test('a comma or a backslash in the source ends no mount option', async t => {
  t.equal(sourceOption('dfs@10.0.0.1:8000'), 'fsname=dfs@10.0.0.1:8000');
  t.equal(sourceOption(String.raw`a,b\c`), String.raw`fsname=a\,b\\c`);
});
