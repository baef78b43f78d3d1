/** What flights become in a commit (vfs/commit-request.ts). */
import t from 'tap';
import type { WrittenChunk } from '../../../src/client/content/readable-chunk.js';
import { SCATTERED_OFFSET } from '../../../src/protocol/limits.js';
import { greaterLoss } from '../../../src/vfs/privilege-loss.js';
import { commitOf, movedBy, salvageOffset } from '../../../src/vfs/commit-request.js';
import { Flight, type WrittenSlices } from '../../../src/vfs/flight.js';
import { written, type Runs } from './support/scripted-commits.js';

const INODE = 40;
const GRANT = { chunk: 0 } as WrittenChunk['grant'];

/** A flight whose chunk, of the same number, is stored. */
function stored(number: number, runs: Runs, manner: Partial<WrittenSlices> = {}, isSynced = false): Flight {
  const flight = new Flight(number, written(runs, manner));
  const place = { chunk: number, length: flight.bytes, checksum: 100 + number, nodes: [1, 2] };
  flight.store({ ...place, readGrant: `grant ${number}`, grant: GRANT, isSynced, hasIntent: false });
  return flight;
}

t.test('runs that follow each other are one extent, and each lies where it is in its chunk', async t => {
  const runs: Runs = [
    [10, 4],
    [14, 6],
    [30, 5],
    [35, 1],
    [50, 2],
  ];
  const { extents } = commitOf(INODE, [stored(3, runs)]);
  t.same(extents, [
    { offset: 10, length: 10, chunk: 3, chunkOffset: 0 },
    { offset: 30, length: 6, chunk: 3, chunkOffset: 10 },
    { offset: 50, length: 2, chunk: 3, chunkOffset: 16 },
  ]);
});

t.test('extents of several flights are sorted by place; the size is where the last of them ends', async t => {
  const [first, second] = [
    stored(1, [
      [100, 8],
      [300, 8],
    ]),
    stored(2, [
      [0, 8],
      [200, 8],
    ]),
  ];
  const { request, extents, chunks } = commitOf(INODE, [first, second]);
  t.same(
    extents.map(({ offset, chunk, chunkOffset }) => [offset, chunk, chunkOffset]),
    [
      [0, 2, 0],
      [100, 1, 0],
      [200, 2, 8],
      [300, 1, 8],
    ],
  );
  t.equal(request.size, 308);
  t.equal(request.inode, INODE);
  t.same(
    request.chunks.map(({ chunk, length, checksum }) => [chunk, length, checksum]),
    [
      [1, 16, 101],
      [2, 16, 102],
    ],
  );
  t.same(
    chunks.map(({ readGrant }) => readGrant),
    ['grant 1', 'grant 2'],
    'what reads them later',
  );
});

t.test('runs of two chunks that follow each other in the file stay two extents', async t => {
  const { extents } = commitOf(INODE, [stored(1, [[0, 4]]), stored(2, [[4, 4]])]);
  t.equal(extents.length, 2);
});

t.test('the newest flight’s times count: that of the content, and when it was written', async t => {
  const time = (sec: number) => ({ mtime: { sec, nsec: 1 }, lastWrite: { sec, nsec: 2 } });
  const { request } = commitOf(INODE, [stored(1, [[0, 4]], time(5)), stored(2, [[4, 4]], time(4))]);
  t.match(request, { mtime: { sec: 4, nsec: 1 }, ctime: { sec: 4, nsec: 2 } });
});

t.test('one flight of several that is durable, or acknowledged, makes the commit so', async t => {
  const plain = [stored(1, [[0, 4]]), stored(2, [[4, 4]])];
  const { request } = commitOf(INODE, plain);
  t.equal(request.durable, false);
  for (const absent of ['append', 'acknowledged', 'privilegeLoss']) t.notOk(absent in request, absent);
  const durable = commitOf(INODE, [stored(1, [[0, 4]], { isDurable: true }), stored(2, [[4, 4]])]);
  t.equal(durable.request.durable, true);
  const acknowledged = [stored(1, [[0, 4]]), stored(2, [[4, 4]])];
  const [first] = acknowledged;
  if (first) first.isAcknowledged = true;
  t.equal(commitOf(INODE, acknowledged).request.acknowledged, true);
});

t.test('a flight that appends makes the commit append', async t => {
  t.equal(commitOf(INODE, [stored(1, [[0, 4]], { isAppending: true })]).request.append, true);
});

t.test('chunks that are on stable storage are named as such, the others are not', async t => {
  const { request } = commitOf(INODE, [stored(1, [[0, 4]], {}, true), stored(2, [[4, 4]])]);
  t.equal(request.chunks[0]?.synced, true);
  t.notOk(request.chunks[1] && 'synced' in request.chunks[1]);
});

t.test('the greatest loss of privileges among the writes counts, whichever came first', async t => {
  const flights = [
    stored(1, [[0, 4]], { privilegeLoss: 'ordinary' }),
    stored(2, [[4, 4]], { privilegeLoss: 'all' }),
    stored(3, [[8, 4]]),
  ];
  t.equal(commitOf(INODE, flights).request.privilegeLoss, 'all');
  t.equal(commitOf(INODE, flights.toSpliced(1, 1)).request.privilegeLoss, 'ordinary');
  t.equal(greaterLoss(undefined, undefined), undefined);
  t.equal(greaterLoss(undefined, 'ordinary'), 'ordinary');
  t.equal(greaterLoss('ordinary', undefined), 'ordinary');
  t.equal(greaterLoss('all', 'ordinary'), 'all');
});

t.test('a commit of nothing, or of what no node holds yet, is a mistake that is noticed', async t => {
  t.throws(() => commitOf(INODE, []), /a commit has extents/);
  t.throws(() => commitOf(INODE, [new Flight(1, written([[0, 4]]))]), /storing has no chunk/);
});

t.test('what others appended in between moves the extents, and nothing else of them', async t => {
  const { extents } = commitOf(INODE, [
    stored(1, [
      [10, 4],
      [20, 4],
    ]),
  ]);
  t.equal(movedBy(0, extents), extents);
  t.same(movedBy(7, extents), [
    { offset: 17, length: 4, chunk: 1, chunkOffset: 0 },
    { offset: 27, length: 4, chunk: 1, chunkOffset: 4 },
  ]);
  t.equal(extents[0]?.offset, 10, 'those that were given stay');
});

t.test('a chunk has a place to be salvaged to only when its bytes lie together in the file', async t => {
  const offsetOf = (runs: Runs): number => salvageOffset(written(runs).slices);
  t.equal(offsetOf([[5, 4]]), 5);
  t.equal(
    offsetOf([
      [5, 4],
      [9, 1],
    ]),
    5,
  );
  t.equal(
    offsetOf([
      [5, 4],
      [10, 1],
    ]),
    SCATTERED_OFFSET,
  );
});
