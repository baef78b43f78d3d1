/** A grant's signature is the HMAC that every version of DFS has computed. */
import { createHmac } from 'node:crypto';
import t from 'tap';
import { isGrantSigned, signGrant } from '../../../src/protocol/grant-signature.js';
import { KeyedHash } from '../../../src/protocol/keyed-hash.js';
import { SeededRandom } from '../../simulation/world/seeded-random.js';

const random = new SeededRandom(21);

t.test('the digest is HMAC-SHA256 for keys and texts of any length', async t => {
  for (const keyBytes of [0, 1, 16, 32, 63, 64, 65, 200]) {
    const key = random.bytes(keyBytes);
    const keyed = new KeyedHash(key);
    for (const length of [0, 1, 40, 63, 64, 1023, 1024, 1025, 5000]) {
      const text = random.bytes(length).toString('hex').slice(0, length);
      const expected = createHmac('sha256', key).update(text).digest('hex');
      t.equal(keyed.digest(text).toString('hex'), expected, `${keyBytes} bytes of key, ${length} of text`);
    }
  }
});

t.test('a grant that was changed, or signed with another key, is not signed', async t => {
  const [key, otherKey] = [random.bytes(32), random.bytes(32)];
  const unsigned = { chunk: 7, maxBytes: 4096, expiresMs: 1_800_000_000_000, nodes: [1, 2] };
  const grant = { ...unsigned, signature: signGrant(key, unsigned) };
  t.ok(isGrantSigned(key, grant));
  t.notOk(isGrantSigned(otherKey, grant));
  for (const change of [{ chunk: 8 }, { maxBytes: 8192 }, { expiresMs: 1 }, { nodes: [2, 1] }])
    t.notOk(isGrantSigned(key, { ...grant, ...change }), JSON.stringify(change));
  t.notOk(isGrantSigned(key, { ...grant, signature: grant.signature.subarray(1) }));
});
