import t from 'tap';
import { crc32 } from 'node:zlib';
import {
  blocksCovering,
  checksumTableBytes,
  computeChecksums,
  matchesChecksums,
} from '../../../src/protocol/checksum.js';
import { CHECKSUM_BLOCK_BYTES } from '../../../src/protocol/limits.js';

const data = Buffer.alloc(3 * CHECKSUM_BLOCK_BYTES + 100);
for (let index = 0; index < data.length; index += 1) data[index] = (index * 31) & 0xff;

t.test('one checksum for each block, whatever pieces the bytes come in', async t => {
  const whole = computeChecksums([data]);
  t.equal(whole.length, checksumTableBytes(data.length));
  t.equal(whole.readUInt32LE(4), crc32(data.subarray(CHECKSUM_BLOCK_BYTES, 2 * CHECKSUM_BLOCK_BYTES)));
  const pieces = [data.subarray(0, 1), data.subarray(1, 40_000), data.subarray(40_000)];
  t.same(computeChecksums(pieces), whole);
});

t.test('a part of a chunk is cut where blocks of the chunk end', async t => {
  const part = data.subarray(10_000, 20_000);
  const checksums = computeChecksums([part], 10_000);
  t.equal(blocksCovering(10_000, 10_000), 2);
  t.equal(checksums.readUInt32LE(0), crc32(data.subarray(10_000, CHECKSUM_BLOCK_BYTES)));
  t.equal(checksums.readUInt32LE(4), crc32(data.subarray(CHECKSUM_BLOCK_BYTES, 20_000)));
  t.equal(matchesChecksums([part], checksums, 10_000), true);
});

t.test('one changed bit is found', async t => {
  const checksums = computeChecksums([data]);
  const changed = Buffer.from(data);
  changed.writeUInt8(changed.readUInt8(20_000) ^ 4, 20_000);
  t.equal(matchesChecksums([changed], checksums), false);
});
