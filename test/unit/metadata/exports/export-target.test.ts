import t from 'tap';
import { parseTarget } from '../../../../src/metadata/exports/export-target.js';
import type { Peer } from '../../../../src/metadata/peer.js';

function peer(name: string, remoteHost: string, role: 'client' | 'admin' = 'client'): Peer {
  return { isClosed: false, remoteHost, member: { role, certificate: { role, name, serial: '1' } } };
}

const LAPTOP = peer('laptop', '10.0.0.7');
const DESK = peer('desk', '::ffff:10.0.1.7');
const ADMIN = peer('laptop', 'fd00::7', 'admin');

const TARGETS: readonly (readonly [text: string, matching: readonly Peer[]])[] = [
  ['*', [LAPTOP, DESK, ADMIN]],
  ['role:client', [LAPTOP, DESK]],
  ['role:admin', [ADMIN]],
  ['10.0.0.0/24', [LAPTOP]],
  ['10.0.0.0/16', [LAPTOP, DESK]],
  ['10.0.1.7', [DESK]],
  ['0.0.0.0/0', [LAPTOP, DESK]],
  ['fd00::/64', [ADMIN]],
  ['client/laptop', [LAPTOP]],
  ['admin/laptop', [ADMIN]],
];

t.test('a rule is for those whom its target names', async t => {
  for (const [text, matching] of TARGETS) {
    const target = parseTarget(text);
    for (const each of [LAPTOP, DESK, ADMIN])
      t.equal(target.matches(each), matching.includes(each), `${text}, ${each.remoteHost}`);
  }
});

t.test(
  'a name is more precise than a range, a small range than a large one, then come roles and everybody',
  async t => {
    const order = ['client/laptop', '10.0.0.7', '10.0.0.0/24', '10.0.0.0/8', '0.0.0.0/0', 'role:client', '*'];
    const precisions = order.map(text => parseTarget(text).precision);
    t.same(
      precisions,
      precisions.toSorted((a, b) => b - a),
    );
    t.equal(new Set(precisions).size, order.length);
  },
);

t.test('what names nobody is refused with what does', async t => {
  for (const text of [
    '',
    'laptop',
    'client/',
    'client/a/b',
    '10.0.0.0/33',
    '10.0.0.0/x',
    '10.0.0.0/8/8',
    'role:',
  ])
    t.throws(() => parseTarget(text), { code: 'EINVAL' }, text);
  for (const text of ['node/store', 'role:node', 'metadata/head'])
    t.throws(() => parseTarget(text), { code: 'EINVAL', message: /mounts nothing/ }, text);
});
