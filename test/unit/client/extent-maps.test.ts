/** The memory for extents is bounded over all files (client/extent-maps.ts). */
import t from 'tap';
import { ExtentMaps } from '../../../src/client/extent-maps.js';
import type { ExtentMap } from '../../../src/client/extent-map.js';

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
  const maps = new ExtentMaps(100);
  fill(maps.of(1), 0, 40);
  fill(maps.of(2), 0, 40);
  maps.of(1);
  fill(maps.of(3), 0, 40);
  t.equal(maps.used, 80);
  t.equal(maps.of(2).find(0, 10), 0);
  t.not(maps.of(1).find(0, 10), 0);
  t.not(maps.of(3).find(0, 10), 0);
});

t.test('a file that alone has more than there is room for forgets what it was told before', async t => {
  const maps = new ExtentMaps(100);
  const map = maps.of(1);
  fill(map, 0, 60);
  fill(map, 60, 60);
  t.equal(maps.used, 60);
  t.equal(map.find(0, 10), 0);
  t.not(map.find(60, 70), 60);
});

t.test('what was cut, forgotten or is not kept any more does not count', async t => {
  const maps = new ExtentMaps(100);
  const map = maps.of(1);
  fill(map, 0, 50);
  map.commit(2, [{ offset: 10, length: 30, chunk: 99, chunkOffset: 0 }], []);
  t.equal(maps.used, 21);
  maps.delete(1);
  t.equal(maps.used, 0);
  fill(map, 0, 50);
  map.forget();
  t.equal(maps.used, 0);
});
