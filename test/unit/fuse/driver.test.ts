/** What every way of mounting shares (fuse/driver.ts). */
import t from 'tap';
import { privilegeOptions } from '../../../src/fuse/driver.js';

t.test('setuid and devices count on a mount only where each is asked for by name', async t => {
  t.same(privilegeOptions({ allowSuid: false, allowDevices: false }), ['nosuid', 'nodev']);
  t.same(privilegeOptions({ allowSuid: true, allowDevices: false }), ['suid', 'nodev']);
  t.same(privilegeOptions({ allowSuid: false, allowDevices: true }), ['nosuid', 'dev']);
});
