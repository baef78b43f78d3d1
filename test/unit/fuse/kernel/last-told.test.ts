/** Attributes as the kernel was told them last (fuse/kernel/last-told.ts). */
import t from 'tap';
import { LastTold } from '../../../../src/fuse/kernel/last-told.js';
import { TOLD_BYTES } from '../../../../src/vfs/file-system.js';
import { attributesOf } from '../../../support/attributes-of.js';

const DIRECTORY = 0o040755;
const LINK = 0o120777;
const FIFO = 0o010644;

t.test('the latest counts', async t => {
  const told = new LastTold(1 << 20);
  t.equal(told.get(7), undefined);
  told.note(attributesOf({ size: 1 }));
  told.note(attributesOf({ size: 2 }));
  t.equal(told.get(7)?.size, 2);
  t.equal(told.usedBytes, TOLD_BYTES);
});

t.test('many files drive out no directory', async t => {
  const told = new LastTold(20 * TOLD_BYTES);
  told.note(attributesOf({ inode: 2, mode: DIRECTORY }));
  told.note(attributesOf({ inode: 3, mode: FIFO }));
  for (let inode = 100; inode < 1000; inode += 1) {
    told.note(attributesOf({ inode, mode: inode % 2 === 0 ? LINK : 0o100644 }));
  }
  t.equal(told.get(2)?.mode, DIRECTORY);
  t.equal(told.get(3)?.mode, FIFO);
  t.equal(told.get(100), undefined, 'of files, what was told longest ago is forgotten');
  t.equal(told.get(999)?.inode, 999);
  t.ok(told.get(990) !== undefined && told.get(989) === undefined, 'half of the memory is for files');
});

t.test('it takes no more memory than it is given, and never that of more than 4096 inodes', async t => {
  for (const maxBytes of [0, 10 * TOLD_BYTES, 2 ** 40]) {
    const told = new LastTold(maxBytes);
    for (let inode = 1; inode < 6000; inode += 1) {
      told.note(attributesOf({ inode, mode: inode % 2 === 0 ? DIRECTORY : 0o100644 }));
    }
    // One of each kind at least.
    const limit = Math.max(2 * TOLD_BYTES, Math.min(maxBytes, 4096 * TOLD_BYTES));
    t.equal(told.usedBytes, limit, `${maxBytes} bytes`);
  }
});
