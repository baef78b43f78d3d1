import { Type } from '@sinclair/typebox';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { systemClock, type Clock } from '../../../src/platform/clock.js';
import { tcpNetwork, type Endpoint } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { command } from '../../../src/protocol/command.js';
import { Routes } from '../../../src/rpc/routes.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { WatchedClient } from '../../../src/rpc/watched-client.js';
import { SeverableProxy } from '../../support/severable-proxy.js';
import { CLIENTS } from '../../../src/protocol/roles.js';
import { TEST_KEYS } from '../../support/test-keys.js';

const log = pino({ level: 'silent' });
const surroundings = { network: tcpNetwork, clock: systemClock, random: systemRandom, log, keys: TEST_KEYS };
const Empty = Type.Object({});
const slow = command('slow', 9001, { allow: CLIENTS, request: Empty, reply: Empty });
const quick = command('quick', 9002, { allow: CLIENTS, request: Empty, reply: Empty });
const LONG = { timeoutMs: 120_000 };

/** Time that passes ten times as fast: silence is told in a third of a second. */
const FAST = 10;
const fastClock: Clock = {
  now: systemClock.now,
  monotonicMs: () => systemClock.monotonicMs() * FAST,
  setTimer: (delayMs, callback, background) => systemClock.setTimer(delayMs / FAST, callback, background),
  atNextTurn: systemClock.atNextTurn,
};

interface Setup {
  readonly proxy: SeverableProxy;
  readonly client: WatchedClient;
  /** Lets the `slow` requests be answered. */
  readonly open: () => void;
}

async function setUp(t: Test): Promise<Setup> {
  let open = (): void => undefined;
  const gate = new Promise<void>(resolve => (open = resolve));
  const routes = new Routes()
    .on(slow, async () => {
      await gate;
      return {};
    })
    .on(quick, async () => ({}));
  const server = new RpcServer({
    ...surroundings,
    kind: 'data',
    routes,
    endpoint: { host: '127.0.0.1', port: 0 },
  });
  await server.start();
  t.teardown(async () => await server.close());
  const proxy = new SeverableProxy(server.endpoint);
  await proxy.listen();
  t.teardown(async () => await proxy.close());
  const endpoint: Endpoint = { host: '127.0.0.1', port: Number(proxy.address.split(':')[1]) };
  const client = new WatchedClient({
    ...surroundings,
    clock: fastClock,
    role: 'client',
    server: 'data',
    endpoint,
  });
  t.teardown(() => client.close());
  return { proxy, client, open };
}

async function pause(ms: number): Promise<void> {
  await new Promise<void>(resolve => {
    setTimeout(resolve, ms);
  });
}

t.test('who is slow but shows signs of life is waited for', async t => {
  const { client, open } = await setUp(t);
  const answer = client.call(slow, {}, LONG);
  // Several times as long as silence is borne.
  await pause(1200);
  open();
  t.match(await answer, { reply: {} });
});

t.test('who is silent fails every call soon', async t => {
  const { client, proxy, open } = await setUp(t);
  await client.call(quick, {}, LONG);
  const calls = [client.call(slow, {}, LONG), client.call(slow, {}, LONG)];
  proxy.cut();
  const startedMs = performance.now();
  for (const call of calls) await t.rejects(call, { code: 'ETIMEDOUT', message: /no sign of life/ });
  t.ok(performance.now() - startedMs < 6000, 'long before the call itself times out');
  t.equal(await client.answers(), false);
  proxy.mend();
  open();
  t.match(await client.call(slow, {}, LONG), { reply: {} }, 'it is used again when it is back');
  t.equal(await client.answers(), true);
});
