/** What a person asks of the cluster (client/cluster-control.ts), at a real metadata server. */
import t, { type Test } from 'tap';
import { ClusterControl, completeStatus } from '../../../src/client/cluster-control.js';
import { nextTurn, systemClock } from '../../../src/platform/clock.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import type { RepairStatus } from '../../../src/protocol/cluster-commands.js';
import { ManualClock } from '../../support/manual-clock.js';
import { waitUntil } from '../../support/wait-until.js';
import { refusal } from '../metadata/support/harness.js';
import { serve, startDataNode } from '../vfs/support/connected-clients.js';
import { connectSession } from './support/connected-session.js';

const PATIENCE_MS = 5000;
/** Turns of the event loop in which anything that happens has happened. */
const MAX_TURNS = 200;

async function scene(t: Test) {
  const server = await serve(t);
  const node = await startDataNode(t, server);
  const session = await connectSession(t, server.endpoint, tcpNetwork, 'admin');
  return { control: new ClusterControl(session), session, node };
}

t.test('nodes are listed, drained, and removed when they are to be', async t => {
  const { control } = await scene(t);
  const [node] = await control.nodes();
  t.match(node, { node: 1, state: 'live', isDraining: false });
  await control.drain(1, true);
  t.match(await control.nodes(), [{ node: 1, isDraining: true }]);
  await control.drain(1, false);
  t.match(await control.nodes(), [{ node: 1, isDraining: false }]);
  t.equal(await refusal(control.drain(99, true)), 'ENOENT');
  t.equal(await refusal(control.removeNode(99, false)), 'ENOENT');
  t.equal(await refusal(control.removeNode(1, false)), 'EBUSY', 'it lives');
});

t.test('repair, rebalancing and backups tell how they are', async t => {
  const { control } = await scene(t);
  const isComplete = async (): Promise<boolean> => (await control.repairStatus()).isComplete;
  await waitUntil(isComplete, { what: 'every chunk was looked at' });
  await control.rebalance(true);
  await control.rebalance(false);
  t.match(await control.backupStatus(), { intervalMs: 0, nodes: [] });
  t.equal(await refusal(control.backupNow()), 'EINVAL', 'backups are off');
});

t.test('a check is begun once, and told of', async t => {
  const { control } = await scene(t);
  t.equal(await refusal(control.fsckStatus(0)), 'ENOENT', 'there was none');
  await control.startFsck(false, false);
  t.equal(await refusal(control.startFsck(false, false)), 'EBUSY');
  t.match(await control.fsckStatus(0), { isRunning: true, findings: [] });
});

t.test('a session that is closed asks nobody', async t => {
  const { control, session } = await scene(t);
  await session.close();
  t.equal(await refusal(control.nodes()), 'EIO');
});

/** Asks for a status that is complete with the given question. */
async function asking(clock: ManualClock, completeAt: number) {
  let asked = 0;
  const status = completeStatus(clock, async () => {
    asked += 1;
    // Only this is looked at.
    return { isComplete: asked === completeAt } as RepairStatus;
  });
  let isDone = false;
  void status.then(() => (isDone = true));
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    await nextTurn(systemClock);
    if (isDone) break;
    clock.advance(100);
  }
  return { asked, isComplete: (await status).isComplete };
}

t.test('a status is asked for until every chunk was looked at', async t => {
  const clock = new ManualClock();
  t.same(await asking(clock, 1), { asked: 1, isComplete: true });
  t.equal(clock.monotonicMs(), 0, 'at once if it can be told at once');
  t.same(await asking(clock, 3), { asked: 3, isComplete: true });
});

t.test('a status that is long in coming is told as far as it is', async t => {
  const clock = new ManualClock();
  const { isComplete } = await asking(clock, Infinity);
  t.notOk(isComplete);
  t.ok(clock.monotonicMs() > PATIENCE_MS && clock.monotonicMs() < PATIENCE_MS + 500);
});
