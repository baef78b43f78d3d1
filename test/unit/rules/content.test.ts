import t from 'tap';
import { S_IFREG, S_ISUID } from '../../../src/protocol/file-mode.js';
import {
  appendShift,
  committed,
  copiedInto,
  extentChange,
  preallocated,
  resized,
} from '../../../src/rules/content.js';
import { NOW, record, THEN } from './records.js';

const WRITTEN = { sec: 150, nsec: 0 };
const extent = (offset: number, length: number) => ({ offset, length, chunk: 1, chunkOffset: 0 });

t.test('a commit has the times of its writes; the file only grows, and its version goes by one', async t => {
  const file = record({ size: 10, allocated: 10 });
  const change = extentChange([extent(0, 4), extent(8, 4)]);
  t.same(change, { allocated: 8, end: 12 });
  const after = committed(file, { size: 0, mtime: WRITTEN, ctime: WRITTEN }, change, NOW);
  t.match(after, { size: 12, allocated: 18, mtime: WRITTEN, ctime: WRITTEN, atime: THEN, version: 5 });
  t.equal(committed(file, { size: 99, mtime: WRITTEN }, change, NOW).size, 99);
  t.same(committed(file, { size: 0, mtime: WRITTEN }, change, NOW).ctime, NOW, 'the ctime of its commit');
  const appended = committed(file, { size: 99, mtime: WRITTEN, append: true }, change, NOW);
  t.equal(appended.size, 12, 'an append is as long as its bytes');
});

t.test('POSIX write(): setuid may be cleared, when the request says so', async t => {
  const file = record({ mode: S_IFREG | S_ISUID | 0o755 });
  const commit = { size: 0, mtime: WRITTEN, privilegeLoss: 'ordinary' } as const;
  t.equal(committed(file, commit, extentChange([]), NOW).mode, S_IFREG | 0o755);
  t.equal(copiedInto(file, extentChange([]), 'all', NOW).mode, S_IFREG | 0o755);
  t.equal(copiedInto(file, extentChange([]), undefined, NOW).mode, file.mode);
});

t.test('the same bytes in other chunks change no time', async t => {
  const after = committed(record(), { size: 0, mtime: WRITTEN, replaces: [] }, extentChange([]), NOW);
  t.match(after, { mtime: THEN, ctime: THEN, version: 5 });
});

t.test('POSIX write() with O_APPEND: bytes go where the file ends at the commit', async t => {
  t.equal(appendShift(record({ size: 30 }), [extent(20, 5)]), 10);
  t.equal(appendShift(record({ size: 10 }), [extent(20, 5)]), -10);
  t.equal(appendShift(record({ size: 10 }), []), 0);
});

t.test('copy_file_range(2) writes to its target', async t => {
  const after = copiedInto(record({ size: 10, allocated: 10 }), { allocated: -2, end: 5 }, undefined, NOW);
  t.match(after, { size: 10, allocated: 8, mtime: NOW, ctime: NOW, version: 5 });
});

t.test('fallocate(2) marks the mtime when data or size change', async t => {
  const file = record({ size: 10, allocated: 10 });
  const same = preallocated(file, { size: 10, freed: 0, isZeroed: false }, undefined, NOW);
  t.match(same, { mtime: THEN, ctime: NOW, version: 4 });
  const hole = preallocated(file, { size: 10, freed: 4, isZeroed: true }, undefined, NOW);
  t.match(hole, { mtime: NOW, allocated: 6, version: 5 });
  t.match(preallocated(file, { size: 20, freed: 0, isZeroed: false }, undefined, NOW), {
    size: 20,
    mtime: NOW,
  });
});

t.test('POSIX truncate() marks mtime and ctime', async t => {
  const after = resized(record({ size: 10, allocated: 10 }), 4, 6, NOW);
  t.match(after, { size: 4, allocated: 4, mtime: NOW, ctime: NOW, version: 5 });
});
