/** Whether a program is told attributes with what it lists (fuse/kernel/stat-prediction.ts). */
import t from 'tap';
import { StatPrediction } from '../../../../src/fuse/kernel/stat-prediction.js';

const [FIND, LS] = [10, 20];

t.test('a program that looks up what it was told without attributes is told them from then on', async t => {
  const stats = new StatPrediction();
  t.notOk(stats.wantsAttributes(LS));
  stats.listed(LS, 1);
  stats.listed(FIND, 1);
  stats.lookedUp(LS, 1);
  t.ok(stats.wantsAttributes(LS));
  t.notOk(stats.wantsAttributes(FIND), 'another program is not');
});

t.test('a program is unknown until it looks names up, or has listed two directories in vain', async t => {
  const stats = new StatPrediction();
  t.ok(stats.isUnknown(FIND));
  stats.listed(LS, 1);
  stats.listed(FIND, 1);
  t.ok(stats.isUnknown(FIND));
  stats.lookedUp(LS, 1);
  t.notOk(stats.isUnknown(LS));
  stats.listed(FIND, 2);
  t.notOk(stats.isUnknown(FIND));
});

t.test('names of directories that it has not listed say nothing', async t => {
  const stats = new StatPrediction();
  stats.lookedUp(LS, 1);
  stats.listed(LS, 2);
  stats.lookedUp(LS, 1);
  t.notOk(stats.wantsAttributes(LS));
});

t.test('a program that goes back to an earlier directory is the same program', async t => {
  const stats = new StatPrediction();
  for (const directory of [1, 2, 3]) stats.listed(LS, directory);
  stats.lookedUp(LS, 1);
  t.ok(stats.wantsAttributes(LS));
});

t.test('when it looks nothing up any more, it is told names alone again', async t => {
  const stats = new StatPrediction();
  stats.listed(LS, 1);
  stats.lookedUp(LS, 1);
  for (let piece = 0; piece < 10; piece += 1) stats.listed(LS, 2);
  t.ok(stats.wantsAttributes(LS), 'pieces of one directory count once');
  stats.listed(LS, 3);
  t.ok(stats.wantsAttributes(LS));
  stats.listed(LS, 4);
  t.notOk(stats.wantsAttributes(LS));
});
