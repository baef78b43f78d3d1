/** What systemd is told (cli/service-manager.ts), by way of a real socket of its kind. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ServiceManager } from '../../../src/cli/service-manager.js';
import { listenForDatagrams } from '../../support/datagram-listener.js';
import { ManualClock } from '../../support/manual-clock.js';

function newPath(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'dfs-notify-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'notify');
}

t.test('ready and stopping arrive, by a path and by an abstract name', async t => {
  for (const name of [newPath(t), `@dfs-test-${process.pid}`]) {
    const next = await listenForDatagrams(t, name);
    const manager = new ServiceManager({ NOTIFY_SOCKET: name });
    await manager.ready();
    t.equal(await next(), 'READY=1', name);
    await manager.stopping();
    t.equal(await next(), 'STOPPING=1');
  }
});

t.test('a watched service says regularly that it turns, until it stops', async t => {
  const name = newPath(t);
  const next = await listenForDatagrams(t, name);
  const clock = new ManualClock();
  const manager = new ServiceManager({ NOTIFY_SOCKET: name, WATCHDOG_USEC: '10000000' }, clock);
  await manager.ready();
  t.equal(await next(), 'READY=1');
  t.equal(await next(), 'WATCHDOG=1');
  clock.advance(5000);
  t.equal(await next(), 'WATCHDOG=1');
  await manager.stopping();
  t.equal(await next(), 'STOPPING=1');
  clock.advance(60_000);
  await manager.ready();
  t.equal(clock.pendingTimers, 0, 'one that has begun to end is not made ready again');
});

t.test('nothing is told where nobody listens, or another process is watched', async t => {
  const clock = new ManualClock();
  await new ServiceManager({}, clock).ready();
  await new ServiceManager(
    { NOTIFY_SOCKET: newPath(t), WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' },
    clock,
  ).ready();
  await new ServiceManager({ NOTIFY_SOCKET: `/${'x'.repeat(200)}` }, clock).stopping();
  t.equal(clock.pendingTimers, 0);
});
