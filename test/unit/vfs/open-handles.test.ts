/** Numbers of handles, and which failures are told by whom. */
import t from 'tap';
import { DfsError } from '../../../src/protocol/errors.js';
import { FileFailures } from '../../../src/vfs/file-failures.js';
import type { OpenFile } from '../../../src/vfs/open-file.js';
import { OpenHandles, reportFailure, type Handle } from '../../../src/vfs/open-handles.js';
import { ReadAhead } from '../../../src/vfs/read-ahead.js';

const LOST = new DfsError('EIO', 'not stored');

/** As much of a file as handles and failures look at. */
class PlainFile {
  readonly inode: number;
  handles = 1;
  failures = 0;
  lastFailure: DfsError | undefined;
  abandoned: DfsError | undefined;

  constructor(inode: number) {
    this.inode = inode;
  }

  noteFailure(reason: DfsError): void {
    this.failures += 1;
    this.lastFailure = reason;
  }

  abandonWrites(reason: DfsError): void {
    this.abandoned = reason;
  }

  get asFile(): OpenFile {
    return this as unknown as OpenFile;
  }
}

function handleOn(file: PlainFile): Omit<Handle, 'hasLostLock'> {
  return { file: file.asFile, flags: 2, readAhead: new ReadAhead(0), toldFailures: file.failures };
}

t.test('each handle has a number of its own, for as long as it is open', async t => {
  const handles = new OpenHandles();
  const file = new PlainFile(7);
  const [first, second] = [handles.add(handleOn(file)), handles.add(handleOn(file))];
  t.not(first, second);
  t.equal(handles.usable(first).file, file.asFile);
  t.equal(handles.take(first).file, file.asFile);
  t.throws(() => handles.get(first), { code: 'EBADF' });
  t.throws(() => handles.take(first), { code: 'EBADF' });
  t.equal([...handles].length, 1);
});

t.test('a lost lock makes the handles of its file useless, but they can be closed', async t => {
  const handles = new OpenHandles();
  const [locked, other] = [new PlainFile(7), new PlainFile(8)];
  const [mine, theirs] = [handles.add(handleOn(locked)), handles.add(handleOn(other))];
  handles.loseLocks([7]);
  t.throws(() => handles.usable(mine), { code: 'EIO', message: /its lock on the file was given to others/ });
  t.match(locked.abandoned, { code: 'EIO' });
  t.equal(handles.usable(theirs).file, other.asFile);
  t.equal(other.abandoned, undefined);
  t.equal(handles.take(mine).file, locked.asFile);
});

t.test('a failure is told once by each handle that was open, and by none that came later', async t => {
  const handles = new OpenHandles();
  const file = new PlainFile(7);
  const [first, second] = [
    handles.get(handles.add(handleOn(file))),
    handles.get(handles.add(handleOn(file))),
  ];
  t.doesNotThrow(() => reportFailure(first));
  file.noteFailure(LOST);
  const late = handles.get(handles.add(handleOn(file)));
  for (const handle of [first, second]) {
    t.throws(() => reportFailure(handle), LOST);
    t.doesNotThrow(() => reportFailure(handle), 'once');
  }
  t.doesNotThrow(() => reportFailure(late));
});

t.test('a failure of a file that nobody has open waits for the next open, once', async t => {
  const files = new Map<number, OpenFile>();
  const failures = new FileFailures(files);
  const file = new PlainFile(7);
  failures.note(7, LOST);
  t.equal(failures.untold, LOST);
  files.set(7, file.asFile);
  failures.handTo(file.asFile);
  t.equal(file.lastFailure, LOST);
  t.equal(failures.untold, undefined);
  failures.handTo(file.asFile);
  t.equal(file.failures, 1);
});

t.test('a failure of an open file is its handles’; of one that is closing it is the next open’s', async t => {
  const file = new PlainFile(7);
  const failures = new FileFailures(new Map([[7, file.asFile]]));
  failures.note(7, LOST);
  t.equal(file.failures, 1);
  t.equal(failures.untold, undefined);
  file.handles = 0;
  failures.note(7, LOST);
  t.equal(file.failures, 1);
  t.equal(failures.untold, LOST);
});

t.test('a failure that the last handle was not told of waits for the next open', async t => {
  const file = new PlainFile(7);
  const failures = new FileFailures(new Map([[7, file.asFile]]));
  failures.leave(file.asFile);
  t.equal(failures.untold, undefined);
  file.noteFailure(LOST);
  failures.leave(file.asFile);
  t.equal(failures.untold, LOST);
});
