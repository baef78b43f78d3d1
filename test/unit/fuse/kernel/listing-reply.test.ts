/** The answer to READDIR and READDIRPLUS (fuse/kernel/listing-reply.ts), read back by the kernel's structures. */
import t from 'tap';
import { ListingReply } from '../../../../src/fuse/kernel/listing-reply.js';
import { fuseDirent, fuseEntryOut } from '../../../../src/fuse/kernel/structs.js';
import { S_IFLNK, S_IFREG } from '../../../../src/protocol/file-mode.js';
import { PackedNames, typeOf } from '../../../../src/protocol/packed-names.js';

const LINK = typeOf(S_IFLNK);

t.test('fuse_dirent ends at 8 bytes with zeros, however long the name is', async t => {
  for (const length of [1, 7, 8, 9, 255]) {
    const reply = new ListingReply(1000, false);
    const name = Buffer.alloc(2 + length, 'n');
    t.equal(reply.add(name, 2, length, 2 ** 40 + 5, LINK, 2 ** 33 + 9), 0);
    const { bytes } = reply;
    t.equal(bytes.length, Math.ceil((24 + length) / 8) * 8, `${length} bytes`);
    t.match(fuseDirent.view(bytes, 0), { ino: 2 ** 40 + 5, off: 2 ** 33 + 9, namelen: length, type: 10 });
    t.same(bytes.subarray(24, 24 + length), name.subarray(2));
    t.ok(bytes.subarray(24 + length).every(byte => byte === 0));
  }
});

t.test('with attributes there is room for them before each entry, and it is empty', async t => {
  const reply = new ListingReply(1000, true);
  t.equal(reply.add(Buffer.from('a'), 0, 1, 5, LINK, 1), 0);
  const place = reply.add(Buffer.from([0xff, 0x80]), 0, 2, 6, LINK, 2);
  t.equal(place, 160);
  const { bytes } = reply;
  t.equal(bytes.length, 320);
  t.ok(bytes.subarray(160, 160 + fuseEntryOut.bytes).every(byte => byte === 0));
  t.match(fuseDirent.view(bytes, 160 + fuseEntryOut.bytes), { ino: 6, off: 2, namelen: 2, type: 10 });
  t.same([...bytes.subarray(312, 314)], [0xff, 0x80], 'names are bytes');
  reply.entryAt(place).fill(1);
  t.match(fuseDirent.view(bytes, 160 + fuseEntryOut.bytes), { ino: 6 }, 'which end where the entry begins');
});

t.test('what does not fit is left out, and what was counted fits', async t => {
  const names = PackedNames.of(
    ['a', 'bb', 'c'.repeat(255)].map(name => ({ name: Buffer.from(name), inode: 7, mode: S_IFREG })),
  );
  for (const isPlus of [false, true]) {
    for (const first of [0, 1, 2, 3]) {
      const reply = new ListingReply(ListingReply.bytesFor(names, first, isPlus), isPlus);
      for (let index = first; index < names.count; index += 1) {
        const place = reply.add(names.bytes, names.starts[index] ?? 0, names.lengths[index] ?? 0, 7, 8, 1);
        t.ok(place >= 0);
      }
    }
    const small = new ListingReply(32 + (isPlus ? fuseEntryOut.bytes : 0), isPlus);
    t.equal(small.add(names.bytes, 0, 8, 7, 8, 1), 0);
    t.equal(small.add(names.bytes, 0, 1, 7, 8, 2), -1);
  }
  t.equal(new ListingReply(7, false).add(names.bytes, 0, 1, 7, 8, 1), -1);
});
