import t from 'tap';
import { ExtentMap } from '../../../../src/client/content/extent-map.js';
import type { ReadableChunk } from '../../../../src/client/content/readable-chunk.js';
import type { Extent } from '../../../../src/protocol/types.js';

const FILE_BYTES = 4096;

function location(chunk: number, length = FILE_BYTES): ReadableChunk {
  return { chunk, length, checksum: 0, nodes: [1], readGrant: '' };
}

/** A small generator with a seed, so that a failure can be repeated (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** What the map says of [offset, end): for each byte its chunk and place in it, 0 in a hole, -1 where unknown. */
function bytesOf(map: ExtentMap, offset: number, end: number): number[] {
  const bytes: number[] = [];
  let at = offset;
  while (at < end) {
    const found = map.find(at, end);
    if (typeof found !== 'number') {
      for (const piece of found) {
        for (let i = 0; i < piece.length; i += 1) {
          bytes.push(piece.location ? piece.location.chunk * 1e6 + piece.chunkOffset + i : 0);
        }
      }
      return bytes;
    }
    // Known up to `found`, or not at all.
    if (found > at) {
      const known = map.find(at, found);
      if (typeof known === 'number') throw new Error(`find() contradicts itself at ${at}`);
      for (const piece of known) {
        for (let i = 0; i < piece.length; i += 1) {
          bytes.push(piece.location ? piece.location.chunk * 1e6 + piece.chunkOffset + i : 0);
        }
      }
      at = found;
    } else {
      bytes.push(-1);
      at += 1;
    }
  }
  return bytes;
}

t.test('knows nothing before it was told', async t => {
  t.equal(new ExtentMap().find(100, 200), 100);
});

t.test('tells a hole from what is unknown', async t => {
  const map = new ExtentMap();
  const extent: Extent = { offset: 100, length: 50, chunk: 7, chunkOffset: 0 };
  map.insertPage(1, 0, 200, [extent], [location(7)]);
  t.match(map.find(0, 200), [
    { offset: 0, length: 100, location: undefined },
    { offset: 100, length: 50, chunkOffset: 0 },
    { offset: 150, length: 50, location: undefined },
  ]);
  t.equal(map.find(150, 201), 200);
});

t.test('another version of the file makes everything unknown', async t => {
  const map = new ExtentMap();
  map.insertPage(1, 0, Infinity, [], []);
  map.revalidate(2);
  t.equal(map.find(0, 10), 0);
});

t.test('a page older than what is known changes nothing', async t => {
  const map = new ExtentMap();
  map.insertPage(5, 0, Infinity, [], []);
  map.insertPage(4, 0, Infinity, [{ offset: 0, length: 10, chunk: 1, chunkOffset: 0 }], [location(1)]);
  t.match(map.find(0, 10), [{ location: undefined }]);
});

t.test('a commit after somebody else changed the file makes everything unknown', async t => {
  const map = new ExtentMap();
  map.insertPage(1, 0, Infinity, [], []);
  map.commit(3, [{ offset: 0, length: 10, chunk: 1, chunkOffset: 0 }], [location(1)]);
  t.equal(map.find(0, 10), 0);
});

t.test('agrees with a file of single bytes after thousands of pages and commits', async t => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const next = random(seed);
    const below = (limit: number): number => Math.floor(next() * limit);
    const map = new ExtentMap();
    // The file as the metadata server has it, and which bytes of it the map was told.
    const extents: Extent[] = [];
    const truth = Array.from({ length: FILE_BYTES }, () => 0);
    const told = Array.from({ length: FILE_BYTES }, () => false);
    let version = 1;
    map.revalidate(version);
    for (let step = 0; step < 300; step += 1) {
      const offset = below(FILE_BYTES - 1);
      const end = offset + 1 + below(Math.min(400, FILE_BYTES - offset - 1) + 1);
      const kind = next();
      if (kind < 0.2) {
        // Many pieces at once, as a program that writes at random makes them.
        version += 1;
        const pieces: Extent[] = [];
        for (let at = below(200); at < FILE_BYTES;) {
          const length = Math.min(1 + below(30), FILE_BYTES - at);
          pieces.push({ offset: at, length, chunk: version, chunkOffset: at });
          for (let index = at; index < at + length; index += 1) {
            truth[index] = version * 1e6 + index;
            told[index] = true;
          }
          at += length + (next() < 0.3 ? 0 : below(300));
        }
        map.commit(version, pieces, [location(version)]);
      } else if (kind < 0.6) {
        version += 1;
        const chunk = version;
        const extent: Extent = { offset, length: end - offset, chunk, chunkOffset: below(100) };
        map.commit(version, [extent], [location(chunk)]);
        for (let at = offset; at < end; at += 1) {
          truth[at] = chunk * 1e6 + extent.chunkOffset + (at - offset);
          told[at] = true;
        }
      } else {
        extents.length = 0;
        for (let at = offset; at < end;) {
          const value = truth[at] ?? 0;
          let until = at + 1;
          while (until < end && truth[until] === value + (until - at)) until += 1;
          if (value !== 0) {
            const chunk = Math.floor(value / 1e6);
            extents.push({ offset: at, length: until - at, chunk, chunkOffset: value % 1e6 });
          }
          at = until;
        }
        const chunks = extents.map(extent => location(extent.chunk));
        map.insertPage(version, offset, end, extents, chunks);
        for (let at = offset; at < end; at += 1) told[at] = true;
      }
      const wanted = truth.map((value, at) => (told[at] ? value : -1));
      const from = below(FILE_BYTES);
      const until = Math.min(FILE_BYTES, from + 500);
      if (JSON.stringify(bytesOf(map, from, until)) !== JSON.stringify(wanted.slice(from, until))) {
        t.fail(`seed ${seed}, step ${step}: the map differs from the file in [${from}, ${until})`);
        return;
      }
    }
  }
  t.pass('20 seeds');
});

t.test('a file in very many pieces takes in new ones from all over it', async t => {
  const map = new ExtentMap();
  const [pieces, atOnce, bytes] = [100_000, 1000, 4096];
  map.revalidate(0);
  // Each commit has pieces from all over the file.
  for (let version = 1; version <= pieces / atOnce; version += 1) {
    const extents = Array.from({ length: atOnce }, (_, index) => ({
      offset: (index * (pieces / atOnce) + ((version * 37) % (pieces / atOnce))) * bytes,
      length: bytes,
      chunk: version,
      chunkOffset: index * bytes,
    }));
    map.commit(version, extents, [location(version)]);
  }
  t.equal((map.find(0, pieces * bytes) as unknown[]).length, pieces);
});
