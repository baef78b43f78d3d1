/** What is read past the page cache: new bytes of a fast disk (client/local/direct-choice.ts). */
import t from 'tap';
import { DirectChoice } from '../../../../src/client/local/direct-choice.js';
import { ManualClock } from '../../../support/manual-clock.js';

const MIB = 1 << 20;

t.test('a piece goes past the cache once, whatever the order', t => {
  const choice = new DirectChoice(new ManualClock());
  choice.noteRead(1, MIB);
  t.ok(choice.isWanted(1, 0), 'a later piece says nothing about this one');
  t.notOk(choice.isWanted(1, MIB));
  t.ok(choice.isWanted(2, MIB));
  t.end();
});

t.test('a slow disk is read through the cache for a while; one slow read does not make it slow', t => {
  const clock = new ManualClock();
  const choice = new DirectChoice(clock);
  choice.noteTime(MIB, 1000, 1);
  t.ok(choice.isFast);
  for (let count = 0; count < 10; count += 1) choice.noteTime(MIB, 7, 1);
  t.notOk(choice.isFast);
  clock.advance(10_000);
  t.ok(choice.isFast);
  for (let count = 0; count < 50; count += 1) choice.noteTime(MIB, 7, 4);
  t.ok(choice.isFast, 'four at once share it');
  t.end();
});
