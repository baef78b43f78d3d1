/** Names that have changed since a session left a directory (metadata/leases/changed-names.ts). */
import t from 'tap';
import { ChangedNames, MAX_NAMES_OF_ONE } from '../../../src/metadata/leases/changed-names.js';

const DIRECTORY = 2;
const STARTED_MS = 1_700_000_000_000;
const name = (text: string) => ({ name: Buffer.from(text), inode: 1 });
const texts = (changed: readonly { readonly name: Uint8Array }[] | undefined): string[] | undefined =>
  changed?.map(each => Buffer.from(each.name).toString());

t.test('who left a directory hears of each name that changed since, and of none before', async t => {
  const changed = new ChangedNames(STARTED_MS);
  const first = changed.mark(DIRECTORY);
  changed.note(DIRECTORY, [name('a'), name('b')]);
  const second = changed.mark(DIRECTORY);
  changed.note(DIRECTORY, [name('c')]);
  t.same(texts(changed.since(DIRECTORY, first)), ['a', 'b', 'c']);
  t.same(texts(changed.since(DIRECTORY, second)), ['c']);
  t.same(texts(changed.since(DIRECTORY, changed.mark(DIRECTORY))), []);
});

t.test('nothing is said of a directory that nobody left, or that was left too long ago', async t => {
  const changed = new ChangedNames(STARTED_MS);
  changed.note(DIRECTORY, [name('a')]);
  t.equal(changed.since(DIRECTORY, STARTED_MS), undefined, 'nobody left it');
  const position = changed.mark(DIRECTORY);
  for (let made = 0; made <= MAX_NAMES_OF_ONE; made += 1) changed.note(DIRECTORY, [name(`f${made}`)]);
  t.equal(changed.since(DIRECTORY, position), undefined, 'too many names have changed');
  const later = changed.mark(DIRECTORY);
  changed.note(DIRECTORY, [name('z')]);
  t.same(texts(changed.since(DIRECTORY, later)), ['z']);
  for (let other = 10; other < 100; other += 1) {
    changed.mark(other);
    changed.note(
      other,
      Array.from({ length: 1000 }, (_, index) => name(`${index}`)),
    );
  }
  t.equal(changed.since(DIRECTORY, later), undefined, 'other directories took its place');
});

t.test('a server that was started anew does not take positions of before for its own', async t => {
  const before = new ChangedNames(STARTED_MS);
  before.mark(DIRECTORY);
  for (let made = 0; made < 100; made += 1) before.note(DIRECTORY, [name(`f${made}`)]);
  const position = before.mark(DIRECTORY);
  const after = new ChangedNames(STARTED_MS + 1);
  after.mark(DIRECTORY);
  after.note(DIRECTORY, [name('a')]);
  t.equal(after.since(DIRECTORY, position), undefined);
});
