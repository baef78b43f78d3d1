/**
 * Fills one of the client's caches a hundred times over with entries as the wire brings them, and prints as JSON how much
 * it counts, and how much the process really grew: heap and external memory, after collections. Run with --expose-gc.
 */
import { Packr } from 'msgpackr';
import { AttributeCache } from '../../../../../src/client/caches/attribute-cache.js';
import { CacheLease } from '../../../../../src/client/leases/cache-lease.js';
import { ChunkCache } from '../../../../../src/client/content/chunk-cache.js';
import type { ChunkReader } from '../../../../../src/client/content/chunk-reader.js';
import { ExtentMaps } from '../../../../../src/client/content/extent-maps.js';
import { LinkTargets } from '../../../../../src/client/caches/link-targets.js';
import { NameCache } from '../../../../../src/client/caches/name-cache.js';
import { readableChunks, type ReadableChunk } from '../../../../../src/client/content/readable-chunk.js';
import { XattrCache } from '../../../../../src/client/caches/xattr-cache.js';
import { KnownInodes } from '../../../../../src/fuse/kernel/known-inodes.js';
import { createLogger } from '../../../../../src/platform/log.js';
import { READ_GRANT_BYTES } from '../../../../../src/protocol/read-grants.js';
import type { Attributes } from '../../../../../src/protocol/types.js';
import { ManualClock } from '../../../../support/manual-clock.js';

const LIMIT = 512 << 10;
const TIMES = 100;
/** After so many collections that found nothing there is nothing more. */
const VAIN_COLLECTIONS = 6;
const packr = new Packr({ useRecords: false });

/** What a filled cache is asked for. */
interface Filled {
  readonly usedBytes: number;
  /** Kept so that nothing of it is collected before it was measured. */
  readonly cache: object;
}

function fresh<Value>(value: Value): Value {
  return packr.unpack(packr.pack(value)) as Value;
}

async function lease(): Promise<CacheLease> {
  const clock = new ManualClock();
  const granted = new CacheLease(clock, createLogger('test', 'silent'));
  granted.grant(clock.monotonicMs(), 1e9);
  await granted.begun();
  return granted;
}

function attributesOf(inode: number): Attributes {
  const time = (nsec: number): Attributes['mtime'] => ({ sec: 1_700_000_000, nsec });
  const owner = { mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0 };
  const times = { atime: time(inode), mtime: time(inode + 1), ctime: time(inode + 2) };
  return fresh({ inode, generation: 1, ...owner, size: 70, allocated: 70, ...times, version: 2, goal: 1 });
}

/** Bytes of small chunks as the network brings them: slices of a large buffer. */
function* slices(count: number, bytes: number): Generator<Buffer> {
  let received = Buffer.allocUnsafeSlow(0);
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    if (at + bytes > received.length) [received, at] = [Buffer.allocUnsafeSlow(65_536), 0];
    yield received.subarray(at, at + bytes);
    at += bytes;
  }
}

async function fillChunks(bytes: number): Promise<Filled> {
  let chunks = slices(Number.POSITIVE_INFINITY, bytes);
  const next = (): Buffer[] => {
    const { value } = chunks.next();
    return value ? [value] : [];
  };
  const reader: Pick<ChunkReader, 'readWhole'> = {
    readWhole: async (locations: readonly ReadableChunk[]) =>
      new Map(locations.map(({ chunk }) => [chunk, next()])),
  };
  const cache = new ChunkCache(reader as ChunkReader, LIMIT);
  const count = (TIMES * LIMIT) / (bytes + 200);
  for (let chunk = 1_000_000; chunk < 1_000_000 + count; chunk += 64) {
    const locations = Array.from({ length: 64 }, (_, index) => chunk + index);
    await cache.prefetch(
      locations.map(each => ({ chunk: each, length: bytes, checksum: 1, nodes: [1], readGrant: '' })),
    );
  }
  // The last buffer from the network goes, too.
  chunks = slices(0, bytes);
  return { usedBytes: cache.usedBytes, cache };
}

async function fillNames(perDirectory: number): Promise<Filled> {
  const granted = await lease();
  const cache = new NameCache(granted, LIMIT);
  const count = (TIMES * LIMIT) / (100 * perDirectory + 350);
  for (let directory = 1; directory < count; directory += 1) {
    cache.created(granted.ticket(), directory, 1);
    for (let index = 0; index < perDirectory; index += 1) {
      cache.linked(directory, Buffer.from(`file${String(index).padStart(5, '0')}.txt`), 1e6 + index);
    }
    cache.page(directory, Buffer.alloc(0), 10);
  }
  return { usedBytes: cache.usedBytes, cache };
}

function fillExtents(perFile: number, areOpen: boolean): Filled {
  const cache = new ExtentMaps(LIMIT);
  const count = (TIMES * LIMIT) / (350 * perFile + 500);
  for (let inode = 1; inode < count; inode += 1) {
    if (areOpen && inode % 2 === 0 && inode < 1000) cache.hold(inode);
    const map = cache.of(inode);
    const extents = Array.from({ length: perFile }, (_, index) => index);
    map.insertPage(
      1,
      0,
      Number.POSITIVE_INFINITY,
      extents.map(index =>
        fresh({ offset: 4096 * index, length: 4096, chunk: 1e6 * inode + index, chunkOffset: 0 }),
      ),
      readableChunks(
        extents.map(index =>
          fresh({ chunk: 1e6 * inode + index, length: 4096, checksum: 0xffff_0000 + index, nodes: [1, 2] }),
        ),
        Buffer.alloc(READ_GRANT_BYTES * perFile, 1),
      ),
    );
  }
  return { usedBytes: cache.usedBytes, cache };
}

/** name of a filling → what does it */
const FILLINGS: Readonly<Record<string, () => Promise<Filled> | Filled>> = {
  attributes: async () => {
    const cache = new AttributeCache(await lease(), LIMIT);
    for (let inode = 1; inode < (TIMES * LIMIT) / 450; inode += 1) {
      cache.keep(cache.ticket(), attributesOf(inode));
    }
    return { usedBytes: cache.usedBytes, cache };
  },
  xattrs: async () => {
    const granted = await lease();
    const attributes = new AttributeCache(granted, LIMIT);
    const cache = new XattrCache(granted, attributes, LIMIT);
    for (let inode = 1; inode < (TIMES * LIMIT) / 100; inode += 1) {
      cache.none(attributes.ticket(), inode);
      cache.some(inode);
    }
    return { usedBytes: cache.usedBytes, cache };
  },
  'targets of links': async () => {
    const granted = await lease();
    const cache = new LinkTargets(granted, LIMIT);
    for (let inode = 1; inode < (TIMES * LIMIT) / 150; inode += 1) {
      cache.keep(granted.ticket(), inode, Buffer.from(`../lib/target-${inode}.so`));
    }
    return { usedBytes: cache.usedBytes, cache };
  },
  'names of large directories': async () => await fillNames(700),
  'names of small directories': async () => await fillNames(3),
  'names of empty directories': async () => await fillNames(0),
  'chunks of 70 bytes': async () => await fillChunks(70),
  'chunks of 5000 bytes': async () => await fillChunks(5000),
  'extents of small files': () => fillExtents(1, false),
  'extents of files in pieces': () => fillExtents(200, false),
  'extents of open files': () => fillExtents(20, true),
  'known inodes': () => {
    const cache = new KnownInodes();
    const room = cache.roomWithin(LIMIT);
    for (let inode = 1; inode < (TIMES * LIMIT) / 30; inode += 1) {
      cache.addLookup(inode, 0o100644, inode);
      if (cache.size < room) continue;
      for (const old of cache.oldest(100)) cache.takeLookups(old, 1);
    }
    return { usedBytes: cache.usedBytes, cache };
  },
};

/** Heap and external memory when nothing more is collected: V8 gives back the memory of buffers on another thread. */
async function liveBytes(): Promise<number> {
  let leastBytes = Number.POSITIVE_INFINITY;
  for (let vain = 0; vain < VAIN_COLLECTIONS; vain += 1) {
    globalThis.gc?.();
    await new Promise(resolve => {
      setImmediate(resolve);
    });
    const { heapUsed, external } = process.memoryUsage();
    if (heapUsed + external < leastBytes) vain = 0;
    leastBytes = Math.min(leastBytes, heapUsed + external);
  }
  return leastBytes;
}

async function measure(fill: () => Promise<Filled> | Filled) {
  // Once before, so that code and shapes are not counted.
  const before = await fill();
  const beforeBytes = await liveBytes();
  const { usedBytes, cache } = await fill();
  const realBytes = (await liveBytes()) - beforeBytes;
  return { limitBytes: LIMIT, usedBytes, realBytes, isKept: cache !== before.cache };
}

const results: Record<string, Awaited<ReturnType<typeof measure>>> = {};
for (const [name, fill] of Object.entries(FILLINGS)) results[name] = await measure(fill);
process.stdout.write(JSON.stringify(results));
