/** A request to the metadata server is sent until it is answered, in the order of the client's changes (client/requests/requests.ts). */
import t from 'tap';
import { nodes } from '../../../../src/protocol/cluster-commands.js';
import { release } from '../../../../src/protocol/content-commands.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { getattr } from '../../../../src/protocol/namespace-commands.js';
import type { RpcConnection } from '../../../../src/rpc/connection.js';
import { Routes } from '../../../../src/rpc/routes.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { waitUntil } from '../../../support/wait-until.js';
import { refusal } from '../../metadata/support/harness.js';
import { record } from '../../rules/records.js';
import { Answers, startRequests } from '../support/scripted-requests.js';

const INODE = 5;
const FILE = record({ inode: INODE });
const ATTEMPT_MS = 15_000;

/** A server that does with each `getattr` what the next step says, and what came there. */
function scripted(...steps: (() => void)[]) {
  const asked: number[] = [];
  const routes = new Routes().on(getattr, async ({ inode }) => {
    asked.push(inode);
    steps.shift()?.();
    return { attributes: FILE };
  });
  return { routes, asked, steps };
}

const refuse = (code: 'ENOENT' | 'ESTALE' | 'ESHUTDOWN' | 'ECONNRESET') => () => {
  throw new DfsError(code, 'the server says so');
};

t.test('a request is answered, or refused as the server refuses it', async t => {
  const { routes, asked } = scripted(() => undefined, refuse('ENOENT'));
  const { requests } = await startRequests(t, routes);
  t.same(await requests.ask(getattr, { inode: INODE }), { attributes: FILE });
  t.equal(await refusal(requests.ask(getattr, { inode: INODE })), 'ENOENT');
  t.same(asked, [INODE, INODE], 'what is refused is not tried again');
});

t.test('a request whose connection breaks is sent again by the next one', async t => {
  const { routes, asked, steps } = scripted();
  const { requests, metadata } = await startRequests(t, routes);
  steps.push(
    () => metadata.breakConnections(),
    () => metadata.breakConnections(),
  );
  await requests.ask(getattr, { inode: INODE });
  t.same(asked, [INODE, INODE, INODE]);
});

t.test('a request that names the session is made anew for each connection', async t => {
  const { routes, steps } = scripted();
  const { requests, metadata } = await startRequests(t, routes);
  steps.push(() => {
    metadata.current = 2;
    metadata.breakConnections();
  });
  const sessions: number[] = [];
  await requests.askInSession(getattr, session => {
    sessions.push(session);
    return { inode: INODE };
  });
  t.same(sessions, [1, 2]);
});

t.test(
  'a server that shuts down is asked again; one that lost a connection of its own is believed',
  async t => {
    const { routes, asked } = scripted(refuse('ESHUTDOWN'), () => undefined, refuse('ECONNRESET'));
    const { requests } = await startRequests(t, routes);
    await requests.ask(getattr, { inode: INODE });
    t.equal(asked.length, 2);
    t.equal(await refusal(requests.ask(getattr, { inode: INODE })), 'ECONNRESET');
    t.equal(asked.length, 3);
  },
);

t.test('ESTALE has the session looked at', async t => {
  const { routes } = scripted(refuse('ESTALE'));
  const { requests, metadata } = await startRequests(t, routes);
  t.equal(await refusal(requests.ask(getattr, { inode: INODE })), 'ESTALE');
  t.equal(metadata.renewals.length, 1);
});

t.test('a server that stays silent is asked again by a new connection', async t => {
  const clock = new ManualClock();
  const answers = new Answers<{ attributes: typeof FILE }>();
  const routes = new Routes().on(getattr, async () => await answers.next());
  const { requests, metadata } = await startRequests(t, routes, { clock, timeoutMs: 60_000 });
  const asking = requests.ask(getattr, { inode: INODE });
  await waitUntil(() => answers.count === 1, { what: 'the request is there' });
  clock.advance(ATTEMPT_MS - 1);
  t.equal(metadata.greetings.length, 1);
  clock.advance(1);
  const isSentAgain = (): boolean => {
    clock.advance(20);
    return answers.count === 2;
  };
  await waitUntil(isSentAgain, { what: 'it is sent again' });
  t.equal(metadata.greetings.length, 2);
  answers.give({ attributes: record({ inode: INODE, size: 1 }) });
  answers.give({ attributes: FILE });
  t.same(await asking, { attributes: FILE }, 'the first answer comes too late');
});

t.test('a server that stays away is waited for as long as the session says', async t => {
  const { routes, asked } = scripted();
  const { requests, metadata } = await startRequests(t, routes, { timeoutMs: 200 });
  metadata.cable.cut();
  const before = performance.now();
  const asking = requests.ask(getattr, { inode: INODE });
  await t.rejects(asking, { code: 'EIO', message: /'getattr' failed, no metadata server for 200 ms/ });
  t.ok(performance.now() - before >= 199);
  t.same(asked, []);
});

t.test('a server that comes back in time is none that was away', async t => {
  const { routes } = scripted();
  const { requests, metadata } = await startRequests(t, routes);
  metadata.cable.cut();
  const asking = requests.ask(getattr, { inode: INODE });
  let attempts = 0;
  const { connect } = metadata.cable;
  metadata.cable.connect = async (...parameters) => {
    attempts += 1;
    return await connect.apply(metadata.cable, parameters);
  };
  await waitUntil(() => attempts > 2, { what: 'it is tried several times' });
  metadata.cable.mend();
  t.same(await asking, { attributes: FILE });
});

t.test('a patient request is waited for beyond that, as long as it is patient', async t => {
  const { routes } = scripted();
  const { requests, metadata } = await startRequests(t, routes, { timeoutMs: 50 });
  metadata.cable.cut();
  let asked = 0;
  const attempt = async (connection: RpcConnection, timeoutMs: number): Promise<unknown> =>
    await connection.call(getattr, { inode: INODE }, { timeoutMs });
  const isPatient = (): boolean => (asked += 1) < 3;
  t.equal(await refusal(requests.untilAnswered('what', attempt, { isPatient })), 'EIO');
  t.equal(asked, 3);
});

t.test('a closed session is not waited for', async t => {
  const { routes } = scripted();
  const { requests, session } = await startRequests(t, routes, { timeoutMs: 3_600_000 });
  await session.close();
  t.equal(await refusal(requests.ask(getattr, { inode: INODE })), 'EIO');
});

/** A log of changes that is answered when the test says so. */
function log() {
  const state = { waits: [] as (boolean | undefined)[], resolve: (): void => undefined };
  const acknowledged = {
    hasChanges: true,
    drained: async (isUrgent?: boolean) => {
      state.waits.push(isUrgent);
      await new Promise<void>(resolve => (state.resolve = resolve));
    },
    sent: async () => undefined,
  };
  return { state, acknowledged };
}

t.test('a request waits until the server has what was acknowledged before', async t => {
  const { routes, asked } = scripted();
  const { state, acknowledged } = log();
  const { requests, session } = await startRequests(t, routes, { acknowledged });
  const asking = requests.ask(getattr, { inode: INODE });
  // Whatever was sent has arrived when this is answered.
  await session.renewOn(await session.connect(0), 5000);
  t.same([state.waits, asked], [[true], []]);
  state.resolve();
  await asking;
  t.same(asked, [INODE]);
  acknowledged.hasChanges = false;
  await requests.ask(getattr, { inode: INODE });
  t.equal(state.waits.length, 1, 'there is nothing to wait for');
});

t.test('requests that have nothing to do with names or files do not wait for the log', async t => {
  const { state, acknowledged } = log();
  const routes = new Routes().on(nodes, async () => ({ nodes: [] })).on(release, async () => ({}));
  const { requests } = await startRequests(t, routes, { acknowledged });
  await requests.ask(nodes, {});
  await requests.askInSession(release, session => ({ session, inodes: [] }));
  const attempt = async (): Promise<string> => 'done';
  t.equal(await requests.untilAnswered('mkdir', attempt, { hasWaited: true }), 'done');
  t.same(state.waits, []);
});

t.test('a log that is not answered is waited for as long as the session says', async t => {
  const { routes, asked } = scripted();
  const { acknowledged } = log();
  const { requests } = await startRequests(t, routes, { acknowledged, timeoutMs: 50 });
  const asking = requests.ask(getattr, { inode: INODE });
  await t.rejects(asking, { code: 'EIO', message: /acknowledged before/ });
  t.same(asked, []);
});

/** A log that has sent a batch, which is answered when the test says so. */
function sentLog(sequence: number) {
  const state = { isAnswered: false, answer: (): void => undefined };
  const answered = new Promise<void>(resolve => {
    state.answer = () => {
      state.isAnswered = true;
      resolve();
    };
  });
  const acknowledged = {
    hasChanges: true,
    drained: async () => undefined,
    sent: async () => ({ sequence, answered: async () => await answered }),
  };
  return { state, acknowledged };
}

t.test(
  'a change is sent right behind the batch that is under way, and is over when that is answered',
  async t => {
    const { state, acknowledged } = sentLog(7);
    const { requests } = await startRequests(t, new Routes(), { acknowledged });
    const batches: (number | undefined)[] = [];
    let isOver = false;
    const change = requests
      .inOrder('rename', undefined, async afterBatch => {
        batches.push(afterBatch);
        return 'renamed';
      })
      .then(reply => {
        isOver = true;
        return reply;
      });
    await waitUntil(() => batches.length === 1, { what: 'it is sent' });
    t.notOk(isOver);
    state.answer();
    t.equal(await change, 'renamed');
    t.same(batches, [7]);
  },
);

t.test('one that the server does not take there is sent again when the batch is answered', async t => {
  const { state, acknowledged } = sentLog(7);
  const { requests } = await startRequests(t, new Routes(), { acknowledged });
  const batches: (number | undefined)[] = [];
  const change = requests.inOrder('rename', undefined, async afterBatch => {
    batches.push(afterBatch);
    if (afterBatch !== undefined) throw new DfsError('EAGAIN', 'not done as a whole');
    t.ok(state.isAnswered);
    return 'renamed';
  });
  await waitUntil(() => batches.length === 1, { what: 'it is sent' });
  state.answer();
  t.equal(await change, 'renamed');
  t.same(batches, [7, undefined]);
  const refused = requests.inOrder('rename', undefined, async () => {
    throw new DfsError('ENOENT', 'no such name');
  });
  t.equal(await refusal(refused), 'ENOENT', 'every other refusal is told');
});

t.test('what a reply gives is this client’s alone from then on', async t => {
  const given = { given: [{ first: 20, count: 2 }] };
  const routes = new Routes().on(getattr, async () => ({ attributes: FILE, ...given }));
  const { requests, held } = await startRequests(t, routes);
  await requests.ask(getattr, { inode: INODE });
  t.same([held.has(20), held.has(21), held.has(22)], [true, true, false]);
});
