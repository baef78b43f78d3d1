/** What the kernel may keep of inodes that others change (fuse/kernel/contended-inodes.ts). */
import t from 'tap';
import { ContendedInodes } from '../../../../src/fuse/kernel/contended-inodes.js';
import { S_IFDIR, S_IFREG } from '../../../../src/protocol/file-mode.js';
import { ManualClock } from '../../../support/manual-clock.js';

const [DIRECTORY, FILE] = [2, 3];
const DIRECTORY_MODE = S_IFDIR | 0o755;
const FILE_MODE = S_IFREG | 0o644;
const OFTEN = 64;

function inodes() {
  const clock = new ManualClock();
  const contended = new ContendedInodes(clock);
  /** Asks so often; returns what the last answer was. */
  const ask = (inode: number, mode: number, times: number): boolean => {
    let mayKeep = false;
    for (let asked = 0; asked < times; asked += 1) mayKeep = contended.mayKeepAttributes(inode, mode);
    return mayKeep;
  };
  return { clock, contended, ask };
}

t.test('what others have changed may not be kept for two seconds', async t => {
  const { clock, contended } = inodes();
  t.ok(contended.mayKeepAttributes(FILE, FILE_MODE));
  contended.noteChange(FILE);
  t.ok(contended.has(FILE));
  t.notOk(contended.mayKeepAttributes(FILE, FILE_MODE));
  clock.advance(1999);
  t.notOk(contended.mayKeepAttributes(FILE, FILE_MODE));
  clock.advance(1);
  t.notOk(contended.has(FILE));
  t.ok(contended.mayKeepAttributes(FILE, FILE_MODE));
});

t.test('attributes of a directory are kept once they were asked for often and nobody changed it', async t => {
  const { clock, contended, ask } = inodes();
  contended.noteChange(DIRECTORY);
  t.notOk(ask(DIRECTORY, DIRECTORY_MODE, 10 * OFTEN), 'it may be changed again soon');
  clock.advance(51);
  t.ok(ask(DIRECTORY, DIRECTORY_MODE, 1));
  t.ok(contended.has(DIRECTORY));
  contended.noteChange(DIRECTORY);
  clock.advance(51);
  t.notOk(ask(DIRECTORY, DIRECTORY_MODE, OFTEN), 'answers from before the change do not count');
  t.ok(ask(DIRECTORY, DIRECTORY_MODE, 1));
});

t.test('a file’s are not: the kernel would read and write by a size that it did not take up', async t => {
  const { clock, contended, ask } = inodes();
  contended.noteChange(FILE);
  clock.advance(51);
  t.notOk(ask(FILE, FILE_MODE, 10 * OFTEN));
});
