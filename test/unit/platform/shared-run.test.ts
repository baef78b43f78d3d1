/** Runs that many wait for (platform/shared-run.ts). */
import t from 'tap';
import { SharedRun } from '../../../src/platform/shared-run.js';

/** A run whose ends the test decides. */
function scripted() {
  const ends: ((error?: Error) => void)[] = [];
  const shared = new SharedRun(
    async () =>
      await new Promise<void>((resolve, reject) => {
        ends.push(error => (error ? reject(error) : resolve()));
      }),
  );
  return { ends, shared };
}

const turn = async (): Promise<void> => {
  await new Promise(resolve => setImmediate(resolve));
};

t.test('callers that ask while a run is under way wait for the next one, and share it', async t => {
  const { ends, shared } = scripted();
  const done: string[] = [];
  const ask = async (name: string): Promise<void> => {
    await shared.run();
    done.push(name);
  };
  const first = ask('first');
  await turn();
  const others = [ask('second'), ask('third')];
  await turn();
  t.equal(ends.length, 1, 'one at a time');
  ends[0]?.();
  await first;
  await turn();
  t.same([ends.length, done], [2, ['first']]);
  ends[1]?.();
  await Promise.all(others);
  t.same(done, ['first', 'second', 'third']);
  const late = ask('late');
  await turn();
  t.equal(ends.length, 3, 'after an end it runs again');
  ends[2]?.();
  await late;
});

t.test('a failure is that of its run alone', async t => {
  const { ends, shared } = scripted();
  const failing = t.rejects(shared.run(), { message: 'the disk' });
  await turn();
  const next = shared.run();
  ends[0]?.(new Error('the disk'));
  await failing;
  await turn();
  ends[1]?.();
  await t.resolves(next);
});

t.test('it is settled when nothing is under way and nobody waits', async t => {
  const { ends, shared } = scripted();
  await shared.settled();
  const runs = [shared.run()];
  await turn();
  runs.push(shared.run());
  let isSettled = false;
  const settled = shared.settled().then(() => (isSettled = true));
  ends[0]?.();
  await turn();
  t.notOk(isSettled);
  ends[1]?.();
  await Promise.all([...runs, settled]);
  t.ok(isSettled);
});
