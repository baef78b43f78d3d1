/** The checksum is that of zlib, whatever computes it: bytes on disks and on the wire were summed up by both. */
import { createRequire } from 'node:module';
import { crc32 as zlibCrc32 } from 'node:zlib';
import t from 'tap';
import { crc32 } from '../../../src/platform/crc32.js';
import { SeededRandom } from '../../simulation/world/seeded-random.js';

const random = new SeededRandom(20);

t.test('the same number as zlib, before and after the faster code is loaded', async t => {
  const bytes = random.bytes(3 << 20);
  for (let round = 0; round < 6; round += 1) {
    t.equal(crc32(bytes), zlibCrc32(bytes), 'all of it');
    for (let count = 0; count < 100; count += 1) {
      const from = random.integer(0, 1 << 20);
      const part = bytes.subarray(from, from + random.integer(0, 40_000));
      const before = random.integer(0, 0xffff_ffff);
      if (crc32(part, before) !== zlibCrc32(part, before)) t.fail(`${part.length} bytes from ${from} differ`);
    }
  }
});

t.test('a machine for which there is machine code has it', async t => {
  if (!['x64', 'arm64'].includes(process.arch)) return;
  const loaded: unknown = createRequire(import.meta.url)('@node-rs/crc32');
  t.type(loaded, 'object');
});
