/** Grants at hand, with a metadata server that answers what the test says. */
import t from 'tap';
import type { DataNodePool } from '../../../../src/client/content/data-node-pool.js';
import { GrantPool } from '../../../../src/client/content/grant-pool.js';
import type { MetadataSession } from '../../../../src/client/session/metadata-session.js';
import { systemClock } from '../../../../src/platform/clock.js';

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
