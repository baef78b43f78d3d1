/** When a mount looks for the next request without sleeping (fuse/kernel/busy-poll.ts). */
import t from 'tap';
import { BusyPoll } from '../../../../src/fuse/kernel/busy-poll.js';

async function turn(): Promise<void> {
  await new Promise(resolve => {
    setImmediate(resolve);
  });
}

t.test('where nothing comes again and again, it is looked for only now and then', async t => {
  const poll = new BusyPoll(0.05);
  for (let look = 0; look < 4; look += 1) {
    t.type(poll.until(0), 'number');
    poll.note(false);
  }
  let looks = 0;
  for (let request = 0; request < 320; request += 1) {
    if (poll.until(0) === undefined) continue;
    looks += 1;
    poll.note(false);
  }
  t.equal(looks, 10);
  while (poll.until(0) === undefined);
  poll.note(true);
  t.type(poll.until(0), 'number', 'once something has come, it is worth it again');
});

t.test('the event loop gets its turn, however fast requests come', async t => {
  const poll = new BusyPoll(0.05);
  t.equal(poll.until(100), 100.05);
  poll.note(true);
  t.type(poll.until(100.9), 'number');
  t.equal(poll.until(101), undefined);
  await turn();
  t.type(poll.until(101), 'number');
});

t.test('it can be turned off', async t => {
  t.equal(new BusyPoll(0).until(1), undefined);
});
