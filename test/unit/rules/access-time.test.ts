import t from 'tap';
import { isAccessTimeDue, movesAccessTime } from '../../../src/rules/access-time.js';

const at = (sec: number) => ({ sec, nsec: 0 });
const times = (atime: number, mtime: number, ctime: number) => ({
  atime: at(atime),
  mtime: at(mtime),
  ctime: at(ctime),
});

t.test('mount(8), relatime: an access counts after a change, and once a day', async t => {
  t.ok(
    isAccessTimeDue(times(5, 5, 4), at(6)),
    '"earlier than or equal to the current modify or change time"',
  );
  t.ok(isAccessTimeDue(times(5, 4, 5), at(6)));
  t.notOk(isAccessTimeDue(times(5, 4, 4), at(6)));
  t.ok(isAccessTimeDue(times(5, 4, 4), at(5 + 86_400)), '"older than 1 day"');
});

t.test('an access from before the last change moves nothing', async t => {
  t.ok(movesAccessTime(times(5, 6, 6), at(7)));
  t.notOk(movesAccessTime(times(5, 6, 8), at(7)), 'it would take back what utimensat(2) set since');
  t.notOk(movesAccessTime(times(9, 9, 9), at(9)), 'the same time again');
});
