/** What stat(2) shows of an inode, in the kernel's structures (fuse/kernel/attributes.ts). */
import t from 'tap';
import {
  encodeAttr,
  encodeEntry,
  encodeNoEntry,
  writeEntry,
} from '../../../../src/fuse/kernel/attributes.js';
import { fuseAttrOut, fuseEntryOut } from '../../../../src/fuse/kernel/structs.js';
import { attributesOf } from '../../../support/attributes-of.js';

const FILE = attributesOf({
  inode: 2 ** 40 + 3,
  generation: 9,
  mode: 0o104755,
  nlink: 2,
  uid: 1000,
  gid: 0xffff_fffe,
  rdev: 259,
  size: 2 ** 33 + 1,
  allocated: 513,
  atime: { sec: -1, nsec: 999_999_999 },
  mtime: { sec: 2 ** 33, nsec: 1 },
  ctime: { sec: 5, nsec: 0 },
});
/** All of it, as fuse_attr has it. */
const FILE_ATTR = {
  ino: 2 ** 40 + 3,
  size: 2 ** 33 + 1,
  blocks: 2,
  atime: -1,
  atimensec: 999_999_999,
  mtime: 2 ** 33,
  mtimensec: 1,
  ctime: 5,
  ctimensec: 0,
  mode: 0o104755,
  nlink: 2,
  uid: 1000,
  gid: 0xffff_fffe,
  rdev: 259,
  blksize: 1 << 20,
  flags: 0,
};

t.test('fuse_attr has every attribute in its place; a part of a block counts as a block', async t => {
  const out = fuseAttrOut.view(encodeAttr(FILE, 0), 0);
  t.match(out.attr, FILE_ATTR);
  const hole = fuseAttrOut.view(encodeAttr(attributesOf({ size: 1 << 20, allocated: 0 }), 0), 0);
  t.equal(hole.attr.blocks, 0, 'a sparse file takes no room');
});

t.test(
  'times of validity are whole seconds and nanoseconds, for the name and the attributes apart',
  async t => {
    const bytes = encodeEntry(FILE, { entryTimeoutMs: 1500, attrTimeoutMs: 3_600_000.25 });
    const entry = fuseEntryOut.view(bytes, 0);
    t.match(entry, {
      nodeid: FILE.inode,
      generation: 9,
      entryValid: 1,
      entryValidNsec: 500_000_000,
      attrValid: 3600,
      attrValidNsec: 250_000,
    });
    t.match(entry.attr, FILE_ATTR);
    const attr = fuseAttrOut.view(encodeAttr(FILE, 999), 0);
    t.match(attr, { attrValid: 0, attrValidNsec: 999_000_000 });
    t.match(fuseAttrOut.view(encodeAttr(FILE, 0), 0), { attrValid: 0, attrValidNsec: 0 }, 'not at all');
  },
);

t.test('an entry leaves no byte of what its memory held before', async t => {
  const times = { entryTimeoutMs: 0, attrTimeoutMs: 0 };
  const dirty = Buffer.alloc(fuseEntryOut.bytes + 4, 0xee);
  writeEntry(dirty, attributesOf(), times);
  t.same(dirty.subarray(0, fuseEntryOut.bytes), encodeEntry(attributesOf(), times));
  t.equal(dirty.readUInt32LE(fuseEntryOut.bytes), 0xeeee_eeee, 'and writes nothing behind it');
  t.equal(dirty.subarray(0, fuseEntryOut.bytes).indexOf(0xee), -1);
});

t.test('a name that leads nowhere is inode 0, and may be believed for a time', async t => {
  const bytes = encodeNoEntry(2250);
  t.equal(bytes.length, fuseEntryOut.bytes);
  const entry = fuseEntryOut.view(bytes, 0);
  t.match(entry, { nodeid: 0, entryValid: 2, entryValidNsec: 250_000_000, attrValid: 0 });
});
