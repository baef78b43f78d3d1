/** A session survives broken connections, and tells who depends on it when the server has ended it. */
import t from 'tap';
import { renew } from '../../../../src/protocol/session-commands.js';
import { waitUntil } from '../../../support/wait-until.js';
import { Cable, PowerCut, serve } from '../../vfs/support/connected-clients.js';
import type { MetadataSession } from '../../../../src/client/session/metadata-session.js';
import { connectSession } from '../support/connected-session.js';

async function numberOf(session: MetadataSession): Promise<number> {
  let number = 0;
  await session.askInSession(renew, id => {
    number = id;
    return { session: id };
  });
  return number;
}

t.test('a session is resumed over a new connection', async t => {
  const server = await serve(t);
  const cable = new Cable();
  const session = await connectSession(t, server.endpoint, cable);
  let isLost = false;
  session.onSessionLost = () => (isLost = true);
  const before = await numberOf(session);
  cable.cut();
  cable.mend();
  t.equal(await numberOf(session), before);
  t.notOk(isLost);
});

t.test('a client that asks nothing comes back by itself, and caches again', async t => {
  const server = await serve(t);
  const cable = new Cable();
  const session = await connectSession(t, server.endpoint, cable);
  await session.beginCaching();
  t.ok(session.lease.isAlive);
  let dropped = 0;
  session.lease.addKeeper({ drop: async () => undefined, dropAll: async () => void (dropped += 1) });
  cable.cut();
  cable.mend();
  await waitUntil(() => dropped > 0 && session.lease.isAlive, { what: 'it is told to drop everything' });
});

t.test(
  'a server that does not know the session any more begins a new one, and the client is told',
  async t => {
    const power = await PowerCut.start(t);
    await power.remember();
    const session = await connectSession(t, power.server.endpoint);
    await session.beginCaching();
    let isLost = false;
    session.onSessionLost = () => (isLost = true);
    let starts = 0;
    session.onServerStarted = () => (starts += 1);
    await power.fail();
    await numberOf(session);
    t.ok(isLost);
    t.equal(starts, 1);
  },
);

t.test('a restart of the server is told, and keeps the session', async t => {
  const power = await PowerCut.start(t);
  const session = await connectSession(t, power.server.endpoint);
  const before = await numberOf(session);
  const lost: (readonly number[])[] = [];
  session.onServerStarted = inodes => lost.push(inodes);
  await power.remember();
  t.equal(await numberOf(session), before);
  t.same(lost, [[]], 'nothing is lost by it');
});

t.test('a session is closed once', async t => {
  const server = await serve(t);
  const session = await connectSession(t, server.endpoint);
  await Promise.all([session.close(), session.close()]);
  await session.close();
  t.pass();
});
