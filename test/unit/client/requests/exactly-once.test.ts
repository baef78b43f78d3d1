/** docs/decisions/04: a numbered request is sent until it is answered, each time as the same request. */
import t, { type Test } from 'tap';
import { mkdir } from '../../../../src/protocol/namespace-commands.js';
import { end, session as sessionCommand } from '../../../../src/protocol/session-commands.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { createLogger } from '../../../../src/platform/log.js';
import { tcpNetwork } from '../../../../src/platform/network.js';
import { systemRandom } from '../../../../src/platform/random.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import type { Once } from '../../../../src/protocol/types.js';
import { Routes } from '../../../../src/rpc/routes.js';
import { RpcServer } from '../../../../src/rpc/server.js';
import { TEST_KEYS } from '../../../support/test-keys.js';
import { refusal } from '../../metadata/support/harness.js';
import { Cable } from '../../vfs/support/connected-clients.js';
import { connectSession } from '../support/connected-session.js';
import { attributesOf } from '../../../support/attributes-of.js';

const MADE = attributesOf({ inode: 10, mode: 0o040755, nlink: 2 });
const REQUEST = { parent: 1, name: Buffer.from('name'), mode: 0o755, uid: 0, gid: 0 };

/** What becomes of a request: answered, executed without an answer since the connection breaks, or refused. */
type Turn = 'answer' | 'break' | 'refuse' | 'end the session';

/** A server that does with each `mkdir` what the script says, and keeps how it was numbered. */
async function scripted(t: Test, script: Turn[]) {
  const numbered: Once[] = [];
  const greeted: number[] = [];
  const cable = new Cable();
  let current = 1;
  const routes = new Routes()
    .on(sessionCommand, async request => {
      greeted.push(request.session);
      const resumed = request.session === current;
      const reply = { session: current, secret: Buffer.alloc(16), resumed, locksKept: true, heldKept: true };
      return { ...reply, cluster: 'test', leaseMs: 0, run: 'run', lost: [] };
    })
    .on(end, async () => ({}))
    .on(mkdir, async ({ once }) => {
      numbered.push(once);
      const turn = script.shift() ?? 'answer';
      if (turn === 'refuse') throw new DfsError('EEXIST', 'it is there');
      if (turn === 'end the session') current += 1;
      if (turn !== 'answer') {
        cable.cut();
        cable.mend();
      }
      return { attributes: MADE };
    });
  const server = new RpcServer({
    network: tcpNetwork,
    clock: systemClock,
    random: systemRandom,
    log: createLogger('test', 'silent'),
    endpoint: { host: '127.0.0.1', port: 0 },
    routes,
    keys: TEST_KEYS,
    kind: 'metadata',
  });
  t.teardown(async () => await server.close());
  await server.start();
  const session = await connectSession(t, server.endpoint, cable);
  return { session, numbered, greeted };
}

t.test('a request whose answer was lost is sent again under the same number', async t => {
  const { session, numbered, greeted } = await scripted(t, ['break', 'break']);
  const { attributes } = await session.ordered.execute(mkdir, REQUEST);
  t.same(attributes, MADE);
  t.same(
    numbered.map(({ sequence }) => sequence),
    [1, 1, 1],
  );
  t.same(greeted, [0, 1, 1], 'in the session that it resumes');
});

t.test('the next request says which answers have arrived', async t => {
  const { session, numbered } = await scripted(t, ['answer', 'refuse', 'answer']);
  await session.ordered.execute(mkdir, REQUEST);
  t.equal(await refusal(session.ordered.execute(mkdir, REQUEST)), 'EEXIST');
  await session.ordered.execute(mkdir, REQUEST);
  t.same(
    numbered.map(({ sequence, acknowledged }) => [sequence, acknowledged]),
    [
      [1, 0],
      [2, 1],
      [3, 2],
    ],
  );
});

t.test('a request that was under way when the session ended is not done in the next one', async t => {
  const { session, numbered } = await scripted(t, ['end the session']);
  let isLost = false;
  session.onSessionLost = () => (isLost = true);
  t.equal(await refusal(session.ordered.execute(mkdir, REQUEST)), 'EIO');
  t.equal(numbered.length, 1);
  t.ok(isLost);
  await session.ordered.execute(mkdir, REQUEST);
  t.equal(numbered.at(-1)?.session, 2, 'later ones are');
});

t.test(
  'what was acknowledged to a program under an earlier session is not sent under a later one',
  async t => {
    const { session, numbered } = await scripted(t, ['end the session']);
    const refused = new DfsError('ESTALE', 'others have gone on');
    t.equal(await refusal(session.ordered.execute(mkdir, REQUEST, () => refused)), 'ESTALE');
    t.equal(numbered.length, 0);
  },
);
