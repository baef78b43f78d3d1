/** Grants at hand, with a metadata server that answers what the test says. */
import t from 'tap';
import type { DataNodePool } from '../../../../src/client/content/data-node-pool.js';
import { GrantPool } from '../../../../src/client/content/grant-pool.js';
import type { MetadataSession } from '../../../../src/client/session/metadata-session.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { readGrantsBytes } from '../../../../src/protocol/read-grants.js';

t.test('a server that grants nothing is not asked again and again', async t => {
  let asked = 0;
  const session = {
    ask: async () => {
      asked += 1;
      if (asked > 3) throw new Error('it goes on asking');
      return { grants: [], readGrants: Buffer.alloc(0), nodes: [] };
    },
  };
  const nodes = { learn: () => undefined, distrusted: () => [] };
  // A pool uses no more of either.
  const pool = new GrantPool(
    session as unknown as MetadataSession,
    nodes as unknown as DataNodePool,
    systemClock,
    1 << 20,
  );
  await t.rejects(pool.take(1), { code: 'EAGAIN', message: /granted nothing/ });
  t.equal(asked, 1);
});

t.test(
  'grants that name one node first are taken in a row where that is asked for, and each is used once',
  async t => {
    const session = { ask: async () => await Promise.reject(new Error('there are enough')) };
    const nodes = { learn: () => undefined, distrusted: () => [] };
    const pool = new GrantPool(
      session as unknown as MetadataSession,
      nodes as unknown as DataNodePool,
      systemClock,
      1 << 20,
    );
    const chunks = Array.from({ length: 24 }, (_, chunk) => chunk);
    pool.add(1, {
      grants: chunks.map(chunk => ({
        chunk,
        nodes: [(chunk % 3) + 1],
        maxBytes: 1 << 20,
        expiresMs: 1e12,
        signature: Buffer.alloc(16),
      })),
      readGrants: Buffer.alloc(readGrantsBytes(chunks.length)),
      nodes: [],
    });
    const first = [];
    for (let count = 0; count < 6; count += 1) first.push(await pool.takeNear(1));
    t.strictSame(
      first.map(({ grant }) => grant.nodes[0]),
      [1, 1, 1, 1, 1, 1],
    );
    // Others take the oldest, whichever node it names.
    const second = [await pool.take(1), await pool.take(1)];
    t.strictSame(
      second.map(({ grant }) => grant.chunk),
      [1, 2],
    );
    const third = [];
    for (let count = 0; count < 16; count += 1) third.push(await pool.takeNear(1));
    const order = third.map(({ grant }) => grant.nodes[0]);
    t.strictSame(order, [1, 1, ...Array.from({ length: 7 }, () => 2), ...Array.from({ length: 7 }, () => 3)]);
    const all = [...first, ...second, ...third].map(({ grant }) => grant.chunk);
    t.strictSame(
      all.toSorted((a, b) => a - b),
      chunks,
    );
  },
);
