/** The order of changes that are not sent, and the places in it that are kept for bytes on their way. */
import t from 'tap';
import { WaitingChanges, type LoggedChange } from '../../../../src/client/log/waiting-changes.js';

function change(...inodes: number[]): LoggedChange {
  const ignore = (): void => undefined;
  const at = { sec: 0, nsec: 0 };
  return { change: { command: 1, request: {}, at }, inodes, refused: ignore, committed: ignore, sinceMs: 0 };
}

const ignore = (): void => undefined;
const inodesOf = (waiting: WaitingChanges, most = 10): number[] =>
  waiting.take(most).flatMap(({ logged }) => logged.inodes);

t.test('what was acknowledged after a close is not taken before its place is left', async t => {
  const waiting = new WaitingChanges();
  waiting.push(change(1));
  const place = waiting.reserve(0, ignore);
  waiting.push(change(2));
  t.equal(waiting.ready(10), 1);
  t.same(inodesOf(waiting), [1]);
  t.same(inodesOf(waiting), [], 'nothing more');
  waiting.insert(place, change(3));
  waiting.insert(place, change(4));
  t.same(inodesOf(waiting), [3, 4], 'what came into the place, though more may come');
  waiting.leave(place);
  t.same(inodesOf(waiting), [2]);
  t.ok(waiting.isEmpty);
});

t.test('places are left in any order', async t => {
  const waiting = new WaitingChanges();
  const [first, second] = [waiting.reserve(0, ignore), waiting.reserve(0, ignore)];
  waiting.push(change(1));
  waiting.insert(second, change(2));
  waiting.leave(second);
  t.same(inodesOf(waiting), []);
  waiting.insert(first, change(3));
  waiting.leave(first);
  waiting.leave(first);
  t.same(inodesOf(waiting, 2), [3, 2]);
  t.same(inodesOf(waiting), [1]);
});

t.test('orders say what is before what', async t => {
  const waiting = new WaitingChanges();
  t.equal(waiting.firstOrder, Number.POSITIVE_INFINITY);
  waiting.push(change(1));
  const { lastOrder } = waiting;
  const place = waiting.reserve(0, ignore);
  waiting.push(change(2));
  waiting.insert(place, change(3));
  t.equal(waiting.firstOrder, lastOrder);
  waiting.take(1);
  t.ok(waiting.firstOrder > lastOrder);
  t.ok(waiting.firstOrder < place.order, 'what is in the place comes before what follows it');
  waiting.take(1);
  t.equal(waiting.firstOrder, place.order);
});

t.test('a place is passed over when it is old, and takes nothing more', async t => {
  const waiting = new WaitingChanges();
  const old = waiting.reserve(100, ignore);
  waiting.push(change(1));
  const young = waiting.reserve(200, ignore);
  waiting.push(change(2));
  t.equal(waiting.passOver(100), 1);
  t.notOk(waiting.has(old));
  t.equal(waiting.firstPlace, young);
  t.throws(() => waiting.insert(old, change(3)));
  t.same(inodesOf(waiting), [1]);
});

t.test('who waits hurries the places before, and no others', async t => {
  const waiting = new WaitingChanges();
  const hurried: string[] = [];
  waiting.reserve(0, () => hurried.push('first'));
  waiting.push(change(1));
  const { lastOrder } = waiting;
  waiting.reserve(0, () => hurried.push('second'));
  waiting.hurry(lastOrder);
  t.same(hurried, ['first']);
});

t.test('a change of the same inode behind a place is seen', async t => {
  const waiting = new WaitingChanges();
  waiting.push(change(7));
  const place = waiting.reserve(0, ignore);
  waiting.push(change(8, 9));
  t.notOk(waiting.isChangedBehind(place, 7));
  t.ok(waiting.isChangedBehind(place, 9));
});

t.test('all changes are taken out when the session is lost, and no place is kept', async t => {
  const waiting = new WaitingChanges();
  const place = waiting.reserve(0, ignore);
  waiting.push(change(1));
  t.equal(waiting.firstChange?.inodes[0], 1);
  t.equal(waiting.takeAll().length, 1);
  t.notOk(waiting.has(place));
  t.equal(waiting.length, 0);
});
