import t from 'tap';
import { decodeMessage, encodeMessage } from '../../../src/protocol/message.js';
import { DfsError, hasCode, toDfsError } from '../../../src/protocol/errors.js';
import { isGrantSigned, signGrant } from '../../../src/protocol/grant-signature.js';
import { lookup, setattr } from '../../../src/protocol/namespace-commands.js';

t.test('a message that does not have the declared shape is refused with the field named', async t => {
  const good = lookup.request.decode(lookup.request.encode({ parent: 1, name: Buffer.from('a') }));
  t.equal(good.parent, 1);
  for (const bad of [
    { parent: 0, name: Buffer.from('a') },
    { parent: 1 },
    { parent: 2 ** 60, name: 'a' },
    7,
  ]) {
    t.throws(() => lookup.request.decode(encodeMessage(bad)), { code: 'EPROTO' });
  }
  t.throws(() => lookup.request.decode(Buffer.from([0xc1])), { code: 'EPROTO' });
});

t.test('lists of many objects alike name their keys once, and every message is read on its own', async t => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      name: Buffer.from(`n${index}`),
      at: { sec: index, nsec: 2 ** 33 + index },
      ...(index % 3 === 0 ? { odd: -index } : {}),
    }));
  const messages = [5, 6, 100, 7].map(count => ({ entries: many(count), end: count === 7 }));
  const encoded = messages.map(message => encodeMessage(message));
  for (const index of [3, 0, 2, 1, 2]) {
    t.same(decodeMessage(encoded[index] ?? Buffer.alloc(0)), messages[index]);
  }
  const keyed = encoded[2]?.toString('latin1').split('nsec').length ?? 0;
  t.ok(keyed < 10, 'the key stands there a few times, not a hundred');
});

t.test('sizes that a number cannot hold exactly are refused', async t => {
  const once = { session: 1, sequence: 1, acknowledged: 0 };
  t.throws(() => setattr.request.decode(encodeMessage({ inode: 1, size: 2 ** 53, once })), {
    code: 'EPROTO',
  });
});

t.test('system errors keep their errno, unknown ones become EIO', async t => {
  t.equal(toDfsError(Object.assign(new Error('x'), { code: 'ENOSPC' })).code, 'ENOSPC');
  t.equal(toDfsError(Object.assign(new Error('x'), { code: 'EPIPE' })).code, 'ECONNRESET');
  t.equal(toDfsError(new Error('x')).code, 'EIO');
  t.equal(new DfsError('ENOENT', 'x').errno, 2);
  t.equal(hasCode(new DfsError('ENOENT', 'x'), 'EIO', 'ENOENT'), true);
});

t.test('a grant that was changed is not signed', async t => {
  const key = Buffer.alloc(32, 1);
  const grant = { chunk: 5, nodes: [1, 2], maxBytes: 100, expiresMs: 1_000_000 };
  const signed = { ...grant, signature: signGrant(key, grant) };
  t.equal(isGrantSigned(key, signed), true);
  t.equal(isGrantSigned(key, { ...signed, maxBytes: 101 }), false);
  t.equal(isGrantSigned(key, { ...signed, nodes: [1] }), false);
  t.equal(isGrantSigned(Buffer.alloc(32, 2), signed), false);
});
