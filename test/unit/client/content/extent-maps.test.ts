/** The memory for extents is bounded over all files (client/content/extent-maps.ts). */
import t from 'tap';
import { ExtentMaps } from '../../../../src/client/content/extent-maps.js';
import type { ExtentMap } from '../../../../src/client/content/extent-map.js';

/** Room for some hundred extents, with all that comes with them. */
const LIMIT = 32 << 10;

/** `count` extents of a byte each, from `from` on, as a reply tells them. */
function fill(map: ExtentMap, from: number, count: number): void {
  const offsets = Array.from({ length: count }, (_, index) => from + index);
  map.insertPage(
    1,
    from,
    from + count,
    offsets.map(offset => ({ offset, length: 1, chunk: offset + 1, chunkOffset: 0 })),
    offsets.map(offset => ({ chunk: offset + 1, length: 1, checksum: 0, nodes: [1], readGrant: '' })),
  );
}

t.test('the file used longest ago is forgotten first, and only as far as need be', async t => {
  const maps = new ExtentMaps(LIMIT);
  fill(maps.of(1), 0, 40);
  fill(maps.of(2), 0, 40);
  maps.of(1);
  fill(maps.of(3), 0, 40);
  t.ok(maps.usedBytes <= LIMIT);
  t.equal(maps.of(2).find(0, 10), 0);
  t.not(maps.of(1).find(0, 10), 0);
  t.not(maps.of(3).find(0, 10), 0);
});

t.test('a file that alone has more than there is room for forgets what it was told before', async t => {
  const maps = new ExtentMaps(LIMIT);
  const map = maps.of(1);
  fill(map, 0, 60);
  fill(map, 60, 60);
  t.ok(maps.usedBytes <= LIMIT);
  t.equal(map.find(0, 10), 0);
  t.not(map.find(60, 70), 60);
});

t.test('what was cut, forgotten or is not kept any more does not count', async t => {
  const maps = new ExtentMaps(LIMIT);
  const map = maps.of(1);
  const emptyBytes = maps.usedBytes;
  fill(map, 0, 50);
  const filledBytes = maps.usedBytes;
  map.commit(2, [{ offset: 10, length: 30, chunk: 99, chunkOffset: 0 }], []);
  t.ok(maps.usedBytes < filledBytes);
  map.forget();
  t.equal(maps.usedBytes, emptyBytes);
  fill(map, 0, 50);
  maps.delete(1);
  t.equal(maps.usedBytes, 0);
  fill(map, 50, 50);
  t.equal(maps.usedBytes, 0, 'a reader that still has it does not count');
});

t.test('the map of an open file is bounded, too, and stays its map, however many others come', async t => {
  const maps = new ExtentMaps(LIMIT);
  const open = maps.hold(1);
  for (let inode = 2; inode < 1000; inode += 1) {
    fill(maps.of(inode), 0, 30);
    fill(open, 30 * inode, 30);
    if (maps.usedBytes > LIMIT) t.fail(`${maps.usedBytes} bytes after ${inode} files`);
  }
  t.equal(maps.hold(1), open);
  maps.letGo(1);
  t.equal(maps.known(1), open, 'it is held once more');
  maps.letGo(1);
  t.equal(maps.of(1), open, 'what is known of it is kept when it is closed');
});

t.test('locations of chunks that the file does not name any more do not gather', async t => {
  const maps = new ExtentMaps(LIMIT);
  const map = maps.hold(1);
  map.insertPage(1, 0, Number.POSITIVE_INFINITY, [], []);
  for (let version = 2; version < 5000; version += 1) {
    const chunk = { chunk: version, length: 1, checksum: 0, nodes: [1], readGrant: '' };
    map.commit(version, [{ offset: 0, length: 1, chunk: version, chunkOffset: 0 }], [chunk]);
  }
  t.equal(map.version, 4999);
  t.ok(maps.usedBytes < LIMIT / 2, `${maps.usedBytes} bytes`);
});
