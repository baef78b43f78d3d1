/** What is under way until it is done (platform/under-way.ts). */
import t from 'tap';
import { UnderWay } from '../../../src/platform/under-way.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { refusal } from '../metadata/support/harness.js';

t.test('a work is under way until it is done, well or ill', async t => {
  const changes = new UnderWay();
  t.ok(changes.isEmpty);
  let answer: (text: string) => void = () => undefined;
  let refuse: (reason: Error) => void = () => undefined;
  const good = changes.during(new Promise<string>(resolve => (answer = resolve)));
  const ill = changes.during(new Promise<string>((_, reject) => (refuse = reject)));
  let isSettled = false;
  const settled = changes.settled().then(() => (isSettled = true));
  answer('done');
  t.equal(await good, 'done');
  t.notOk(changes.isEmpty);
  t.notOk(isSettled, 'the other one is');
  refuse(new DfsError('EEXIST', 'for a test'));
  t.equal(await refusal(ill), 'EEXIST');
  await settled;
  t.ok(changes.isEmpty);
  await changes.settled();
});
