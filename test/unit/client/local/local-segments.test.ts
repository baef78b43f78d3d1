/** A client has few files of a data node open, and none for long that the node has removed (client/local/local-segments.ts). */
import t, { type Test } from 'tap';
import { LocalSegments } from '../../../../src/client/local/local-segments.js';
import { nextTurn, systemClock } from '../../../../src/platform/clock.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { waitUntil } from '../../../support/wait-until.js';
import { CountedFiles } from './support/counted-files.js';

const LOOK_MS = 1000;
const IDLE_MS = 10_000;
const MAX_OPEN = 64;

async function scene(t: Test) {
  const clock = new ManualClock();
  const files = await CountedFiles.inDirectory(t);
  const removed: string[] = [];
  const onRemoved = (name: string): void => void removed.push(name);
  const { directory } = files;
  const segments = new LocalSegments({ files, clock, directory, onRemoved });
  t.teardown(async () => await segments.close());
  await files.write('one', 'first');
  return { clock, files, removed, segments };
}

/** Reads a file, once `until` has come. */
async function textIn(
  segments: LocalSegments,
  name: string,
  until = async (): Promise<void> => undefined,
): Promise<string> {
  return await segments.use(name, async file => {
    await until();
    const target = Buffer.alloc(5);
    return target.toString('utf8', 0, await file.pread(target, 0));
  });
}

/** Lets the files be looked at, a second later; resolves when that is over, and the next look is scheduled. */
async function look(clock: ManualClock, files: CountedFiles): Promise<void> {
  const looks = files.looks + files.areOpen;
  clock.advance(LOOK_MS);
  // A look asks the system about each file, on a thread.
  const isOver = async (): Promise<boolean> => {
    for (let turn = 0; turn < 1000 && files.looks < looks; turn += 1) await nextTurn(systemClock);
    return files.looks === looks;
  };
  await waitUntil(isOver, { what: 'every file is looked at' });
  await nextTurn(systemClock);
}

t.test('a file is opened once, however many read it at the same time', async t => {
  const { segments, files } = await scene(t);
  const texts = await Promise.all([1, 2, 3].map(async () => await textIn(segments, 'one')));
  t.same(texts, ['first', 'first', 'first']);
  await textIn(segments, 'one');
  t.equal(files.opened, 1);
  t.equal(files.closed, 0);
});

t.test('what is in memory is read without waiting, of a file that is open', async t => {
  const { segments } = await scene(t);
  t.equal(segments.readCached('one', 5, 0), undefined);
  t.notOk(segments.readCachedInto('one', Buffer.alloc(5), 0));
  await textIn(segments, 'one');
  t.equal(segments.readCached('one', 3, 1)?.toString(), 'irs');
  const target = Buffer.alloc(2);
  t.ok(segments.readCachedInto('one', target, 3));
  t.equal(target.toString(), 'st');
  t.equal(segments.readCached('one', 6, 0), undefined, 'the file is shorter');
});

t.test('a file that cannot be opened is tried again by the next reader', async t => {
  const { segments, files } = await scene(t);
  await t.rejects(textIn(segments, 'two'), { code: 'ENOENT' });
  await files.write('two', 'later');
  t.equal(await textIn(segments, 'two'), 'later');
});

t.test('a reader that fails leaves the file open for others', async t => {
  const { segments, files } = await scene(t);
  const failing = textIn(segments, 'one', async () => await Promise.reject(new Error('the disk')));
  await t.rejects(failing, { message: 'the disk' });
  t.equal(await textIn(segments, 'one'), 'first');
  t.equal(files.opened, 1);
});

t.test('a file that the node has removed is closed at the next look, and its owner is told', async t => {
  const { segments, files, clock, removed } = await scene(t);
  await textIn(segments, 'one');
  await files.remove('one');
  t.equal(await textIn(segments, 'one'), 'first', 'until then it reads as before');
  clock.advance(LOOK_MS - 1);
  t.same(removed, []);
  clock.advance(1);
  await waitUntil(() => files.areOpen === 0, { what: 'the file is closed' });
  t.same(removed, ['one']);
  await t.rejects(textIn(segments, 'one'), { code: 'ENOENT' });
});

t.test('a removed file that is being read is closed when that is done', async t => {
  const { segments, files, clock, removed } = await scene(t);
  let finish = (): void => undefined;
  const until = new Promise<void>(resolve => (finish = resolve));
  const reading = textIn(segments, 'one', async () => await until);
  await waitUntil(() => files.opened === 1, { what: 'the file is open' });
  await files.remove('one');
  await look(clock, files);
  await waitUntil(() => removed.length > 0, { what: 'the removal is seen' });
  t.equal(files.closed, 0, 'not while somebody reads');
  finish();
  t.equal(await reading, 'first');
  await waitUntil(() => files.areOpen === 0, { what: 'the file is closed' });
});

t.test('a file that nobody reads is closed after a while, and one that is read is kept', async t => {
  const { segments, files, clock } = await scene(t);
  await files.write('two', 'other');
  await textIn(segments, 'one');
  await textIn(segments, 'two');
  for (let second = 0; second < IDLE_MS / LOOK_MS + 2; second += 1) {
    t.ok(segments.readCached('two', 5, 0), 'reading from memory is use, too');
    await look(clock, files);
  }
  await waitUntil(() => files.areOpen === 1, { what: 'one file is closed' });
  t.equal(segments.readCached('one', 5, 0), undefined);
  t.equal(segments.readCached('two', 5, 0)?.toString(), 'other');
});

t.test('no more than so many files are open: the one that was used longest ago goes', async t => {
  const { segments, files } = await scene(t);
  for (let index = 0; index <= MAX_OPEN; index += 1) await files.write(`segment-${index}`, 'bytes');
  for (let index = 0; index < MAX_OPEN; index += 1) await textIn(segments, `segment-${index}`);
  await textIn(segments, 'segment-0');
  t.equal(files.areOpen, MAX_OPEN);
  await textIn(segments, `segment-${MAX_OPEN}`);
  await waitUntil(() => files.areOpen === MAX_OPEN, { what: 'one of them is closed' });
  t.ok(segments.readCached('segment-0', 5, 0));
  t.equal(segments.readCached('segment-1', 5, 0), undefined);
});

t.test('files that are being read are not closed for others', async t => {
  const { segments, files } = await scene(t);
  let finish = (): void => undefined;
  const until = new Promise<void>(resolve => (finish = resolve));
  const reading = textIn(segments, 'one', async () => await until);
  for (let index = 0; index < MAX_OPEN; index += 1) {
    await files.write(`segment-${index}`, 'bytes');
    await textIn(segments, `segment-${index}`);
  }
  t.ok(segments.readCached('one', 5, 0));
  finish();
  t.equal(await reading, 'first');
});

t.test('everything is closed once, and nothing opened after that', async t => {
  const { segments, files } = await scene(t);
  await textIn(segments, 'one');
  let finish = (): void => undefined;
  const until = new Promise<void>(resolve => (finish = resolve));
  const reading = textIn(segments, 'one', async () => await until);
  await Promise.all([segments.close(), segments.close()]);
  t.equal(files.closed, 0);
  finish();
  t.equal(await reading, 'first');
  await waitUntil(() => files.closed === 1, { what: 'the file that was read is closed' });
  await t.rejects(textIn(segments, 'one'), { code: 'EBADF' });
  t.equal(files.opened, 1);
});
