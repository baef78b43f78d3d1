/** When changes that were acknowledged are sent, with a server that answers what the test says. */
import t from 'tap';
import { CacheLease } from '../../../../src/client/leases/cache-lease.js';
import { HeldInodes } from '../../../../src/client/leases/held-inodes.js';
import { ChangeLog, type ChangeLogPeer } from '../../../../src/client/log/change-log.js';
import { ServerClock } from '../../../../src/client/session/server-clock.js';
import { createLogger } from '../../../../src/platform/log.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { unlink } from '../../../../src/protocol/namespace-commands.js';
import { MAX_BATCH } from '../../../../src/protocol/limits.js';
import { ManualClock } from '../../../support/manual-clock.js';

const LEASE_MS = 60_000;
const GATHER_MS = 8;
const PATIENCE_MS = 1000;

type Batch = Parameters<ChangeLogPeer['send']>[0];

/** A log with a lease, and a metadata server that answers when it is told to. */
async function scene() {
  const clock = new ManualClock();
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await new Promise<void>(resolve => {
      setImmediate(resolve);
    });
  };
  const log = createLogger('test', 'silent');
  const lease = new CacheLease(clock, log);
  lease.want();
  lease.grant(clock.monotonicMs(), LEASE_MS);
  await pass(0);
  /** The inodes of each batch. */
  const batches: number[][] = [];
  const answers: ((error?: DfsError) => void)[] = [];
  const broken: DfsError[] = [];
  const ample = { now: { sec: 1, nsec: 0 }, freeBytes: 2 ** 40, ahead: 1024 };
  const changes = new ChangeLog(clock, log, lease, new HeldInodes(lease), new ServerClock(clock), {
    ask: async () => ample,
    send: async ({ changes: sent }: Batch, _refusal, numbered) => {
      numbered(100 + batches.length);
      batches.push(sent.map(({ request }) => (request as { parent: number }).parent));
      const error = await new Promise<DfsError | undefined>(resolve => answers.push(resolve));
      if (error) throw error;
      return { ...ample, refused: [] };
    },
    confirm: () => undefined,
    broken: reason => broken.push(reason),
  });
  changes.noteRequest();
  await pass(0);
  const told: string[] = [];
  const append = (inode: number, place?: Parameters<ChangeLog['append']>[3]): void => {
    const answer = {
      committed: () => told.push(`${inode} committed`),
      refused: () => told.push(`${inode} refused`),
    };
    changes.append(unlink, { parent: inode }, { at: ample.now, inodes: [inode], ...answer }, place);
  };
  const answer = async (error?: DfsError): Promise<void> => {
    answers.shift()?.(error);
    await pass(0);
  };
  return { pass, changes, append, answer, batches, broken, told };
}

t.test(
  'changes gather for some milliseconds, or until there are many, and go one batch at a time',
  async t => {
    const { pass, changes, append, answer, batches, told } = await scene();
    t.ok(changes.isOpen);
    append(1);
    append(2);
    t.same(batches, []);
    await pass(GATHER_MS);
    t.same(batches, [[1, 2]]);
    for (let inode = 3; inode < 3 + MAX_BATCH + 5; inode += 1) append(inode);
    t.equal(batches.length, 1, 'the first is not answered');
    t.ok(changes.isPending(1));
    await answer();
    t.notOk(changes.isPending(1));
    t.same(told, ['1 committed', '2 committed']);
    t.equal(batches[1]?.length, MAX_BATCH);
    await answer();
    await pass(GATHER_MS);
    t.equal(batches[2]?.length, 5);
    await answer();
    t.ok(changes.isEmpty);
  },
);

t.test('while the server does not answer, nothing more is taken after half a second', async t => {
  const { pass, changes, append } = await scene();
  append(1);
  await pass(499);
  t.ok(changes.isOpen);
  await pass(1);
  t.notOk(changes.isOpen);
});

t.test('a name that is made after a close is not sent before the bytes are in their place', async t => {
  const { pass, changes, append, answer, batches } = await scene();
  append(1);
  const place = changes.reserve(() => undefined);
  append(2);
  await pass(GATHER_MS);
  t.same(batches, [[1]]);
  await answer();
  await pass(10 * GATHER_MS);
  t.same(batches, [[1]], 'the name waits');
  append(3, place);
  changes.leave(place);
  await pass(GATHER_MS);
  t.same(batches, [[1], [3, 2]]);
});

t.test('data nodes that are away keep names back for a second, and no longer', async t => {
  const { pass, changes, append, batches } = await scene();
  const place = changes.reserve(() => undefined);
  append(2);
  await pass(PATIENCE_MS - 1);
  t.same(batches, []);
  t.notOk(changes.isOpen, 'programs wait meanwhile');
  t.ok(changes.isOpenAt(place));
  await pass(1);
  await pass(GATHER_MS);
  t.same(batches, [[2]]);
  t.notOk(changes.isOpenAt(place), 'bytes that come now go to the end');
});

t.test('who waits for the log hurries the bytes, and has them when it is answered', async t => {
  const { pass, changes, append, answer, batches } = await scene();
  let hurried = 0;
  const place = changes.reserve(() => (hurried += 1));
  append(2);
  let isDrained = false;
  const drained = changes.drained().then(() => (isDrained = true));
  t.equal(hurried, 1);
  append(3, place);
  await pass(0);
  t.same(batches, [[3]], 'at once');
  changes.leave(place);
  await answer();
  t.same(batches, [[3], [2]]);
  t.notOk(isDrained);
  await answer();
  await drained;
});

t.test('a wait for what is before a place does not wait for what is behind it', async t => {
  const { pass, changes, append, answer } = await scene();
  append(1);
  const place = changes.reserve(() => undefined);
  append(2);
  const before = changes.drained(true, place);
  await pass(0);
  await answer();
  await before;
  t.notOk(changes.isEmpty);
  await changes.drained(true, place);
});

t.test('who comes right behind the log waits until it is sent, and learns with which batch', async t => {
  const { pass, changes, append, answer, batches } = await scene();
  t.equal(await changes.sent(), undefined, 'there is nothing to come behind');
  append(1);
  const place = changes.reserve(() => undefined);
  append(2);
  const before = await changes.sent(place);
  t.same(batches, [[1]], 'it is sent at once');
  t.equal(before?.sequence, 100);
  let isSent = false;
  const sent = changes.sent().then(batch => {
    isSent = true;
    return batch;
  });
  await pass(0);
  t.notOk(isSent, 'what is behind a place waits with it');
  append(3, place);
  changes.leave(place);
  await pass(0);
  t.notOk(isSent, 'one batch is under way at a time');
  await answer();
  await before?.answered();
  t.same(batches, [[1], [3, 2]]);
  const batch = await sent;
  t.equal(batch?.sequence, 101);
  let isAnswered = false;
  const answered = batch?.answered().then(() => (isAnswered = true));
  await pass(0);
  t.notOk(isAnswered);
  await answer();
  await answered;
  t.equal(await changes.sent(), undefined);
});

t.test('a session that is lost lets go of who comes behind the log', async t => {
  const { changes, append } = await scene();
  changes.reserve(() => undefined);
  append(1);
  const sent = changes.sent();
  changes.lose();
  t.equal(await sent, undefined);
});

t.test('a wait for a place alone ends when that is left', async t => {
  const { changes } = await scene();
  const place = changes.reserve(() => undefined);
  t.notOk(changes.isEmpty);
  t.notOk(changes.hasChanges);
  const drained = changes.drained();
  changes.leave(place);
  await drained;
  t.ok(changes.isEmpty);
});

t.test(
  'what the server is asked for keeps its place, unless a later change of the inode is there',
  async t => {
    const { changes, append } = await scene();
    const [first, second] = [changes.reserve(() => undefined), changes.reserve(() => undefined)];
    append(7);
    t.equal(changes.askedAt(first, 8), first);
    t.equal(changes.askedAt(second, 7), undefined);
    t.notOk(changes.isOpenAt(second));
    t.ok(changes.isOpenAt(first));
  },
);

t.test('a session that is lost takes everything along, places too', async t => {
  const { pass, changes, append, answer, broken, told } = await scene();
  append(1);
  await pass(GATHER_MS);
  changes.reserve(() => undefined);
  append(2);
  const drained = changes.drained();
  changes.lose();
  t.same(told, ['2 refused']);
  await answer(new DfsError('EIO', 'gone'));
  await drained;
  t.same(told, ['2 refused', '1 refused']);
  t.equal(broken.length, 2);
  t.notOk(changes.isOpen, 'for a while');
  await pass(PATIENCE_MS);
  t.ok(changes.isOpen);
});
