import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import t from 'tap';
import { expiryOf, READ_GRANT_BYTES, ReadGrantKey, readGrantAt } from '../../../src/protocol/read-grants.js';

const CHUNKS = [1, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER];
const EXPIRES_MS = 1_900_000_000_123;

t.test('a grant is what its construction says', async t => {
  const grantKey = randomBytes(32);
  const key = createHmac('sha256', grantKey).update('dfs: permission to read a chunk').digest();
  const grants = new ReadGrantKey(grantKey).sign(CHUNKS, EXPIRES_MS);
  for (const [index, chunk] of CHUNKS.entries()) {
    const block = Buffer.alloc(16);
    block.writeBigUInt64LE(BigInt(chunk), 0);
    block.writeBigUInt64LE(BigInt(EXPIRES_MS), 8);
    const tag = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false).update(block);
    const grant = readGrantAt(grants, index);
    t.same(grant, Buffer.concat([block.subarray(8), tag]));
    t.equal(grant.length, READ_GRANT_BYTES);
    t.equal(expiryOf(grant), EXPIRES_MS);
  }
  t.equal(new ReadGrantKey(grantKey).sign([], EXPIRES_MS).length, 0, 'nothing for nothing');
  t.throws(() => readGrantAt(grants, CHUNKS.length), { code: 'EPROTO' }, 'a list that is too short');
});

t.test('a grant is known again, and is good for its chunk and its expiry alone', async t => {
  const key = new ReadGrantKey(randomBytes(32));
  const grants = key.sign(CHUNKS, EXPIRES_MS);
  const parts = CHUNKS.map((chunk, index) => ({ chunk, grant: readGrantAt(grants, index) }));
  t.same(key.areSigned(parts), [true, true, true]);
  t.same(new ReadGrantKey(randomBytes(32)).areSigned(parts), [false, false, false], 'of another cluster');
  const swapped = parts.map(({ chunk }, index) => ({ chunk, grant: readGrantAt(grants, (index + 1) % 3) }));
  t.same(key.areSigned(swapped), [false, false, false], 'of another chunk');
  for (let bit = 0; bit < READ_GRANT_BYTES * 8; bit += 1) {
    const grant = readGrantAt(grants, 0);
    grant.writeUInt8(grant.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    if (key.areSigned([{ chunk: 1, grant }])[0] === true) t.fail(`bit ${bit} does not count`);
  }
});
