/** What programs are told when what they wrote is not stored (vfs/storage-failures.ts). */
import t from 'tap';
import { notStored, notTaken } from '../../../src/vfs/storage-failures.js';

t.test('both failures are EIO, and say for how long who was waited for, as people read it', async t => {
  t.match(notStored(60_000), { code: 'EIO', errno: 5, message: /not stored after 1 min: servers/ });
  t.match(notTaken(8000), { code: 'EIO', errno: 5, message: /not stored after 8 s: no data node/ });
});
