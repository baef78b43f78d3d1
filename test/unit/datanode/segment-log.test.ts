import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { RecordKind } from '../../../src/datanode/record.js';
import { SegmentFiles, segmentFileName } from '../../../src/datanode/segment-files.js';
import { SegmentLog, type NewRecord } from '../../../src/datanode/segment-log.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeDisk, type Disk, type DiskFile } from '../../../src/platform/disk.js';
import { FailingDisk, silent, temporaryDirectory } from './store-fixture.js';

/** A disk whose fsync of a directory takes long. */
class SlowNames extends FailingDisk {
  override readonly syncDirectory = async (path: string): Promise<void> => {
    this.namesAtOnce += 1;
    this.mostNamesAtOnce = Math.max(this.mostNamesAtOnce, this.namesAtOnce);
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
    await nodeDisk.syncDirectory(path);
    this.namesAtOnce -= 1;
    this.nameSyncs += 1;
  };
  nameSyncs = 0;
  namesAtOnce = 0;
  mostNamesAtOnce = 0;
}

function record(chunk: number): NewRecord {
  const payload = [Buffer.alloc(100)];
  const table = new Uint8Array(4);
  const rest = { inode: 1, fileOffset: 0, length: 100, apply: () => undefined };
  return { kind: RecordKind.chunk, chunk, table, payload, ...rest };
}

t.test('a sync that begins just when another one ends makes the names of new segments permanent', async t => {
  const directory = join(await temporaryDirectory(t), 'segments');
  await mkdir(directory);
  const disk = new SlowNames();
  const files = new SegmentFiles(disk, directory, silent);
  // Each record fills its segment.
  const log = new SegmentLog({
    files,
    clock: systemClock,
    log: silent,
    segmentBytes: 100,
    onSealed: () => undefined,
  });
  t.teardown(async () => {
    await log.close();
    await files.close();
  });
  await log.enqueue(record(1));
  const running = log.sync();
  while (disk.namesAtOnce === 0) await new Promise(setImmediate);
  const waiting = log.sync();
  await log.enqueue(record(2));
  await log.enqueue(record(3));
  // One of these calls falls between the end of the first sync and the beginning of the second.
  const later: Promise<void>[] = [];
  const callInEachTurn = (turns: number): void => {
    later.push(log.sync());
    if (turns > 0) queueMicrotask(() => callInEachTurn(turns - 1));
  };
  disk.afterDatasync = () => {
    disk.afterDatasync = () => undefined;
    callInEachTurn(40);
  };
  await running;
  await waiting;
  t.equal(disk.nameSyncs, 2, 'the second and the third segment have their names for good');
  await Promise.all(later);
  t.equal(disk.mostNamesAtOnce, 1, 'one sync was under way at a time');
  t.equal(files.numbers().length, 3);
});

t.test(
  'records that are synced one by one are written over zeros, and no zeros are left at the end',
  async t => {
    const directory = join(await temporaryDirectory(t), 'segments');
    await mkdir(directory);
    const disk = new FailingDisk();
    const files = new SegmentFiles(disk, directory, silent);
    const segmentBytes = 100_000;
    const options = { files, clock: systemClock, log: silent, segmentBytes, onSealed: () => undefined };
    const log = new SegmentLog(options);
    t.teardown(async () => await files.close());
    const bytesOf = async (segment: number): Promise<number> =>
      (await stat(join(directory, segmentFileName(segment)))).size;
    const store = async (chunk: number): Promise<void> => {
      await log.enqueue(record(chunk));
      await log.sync();
    };
    for (let chunk = 1; chunk <= 3; chunk += 1) await store(chunk);
    t.equal(await bytesOf(1), files.sizeOf(1), 'not before some were synced');
    await store(4);
    t.equal(await bytesOf(1), segmentBytes, 'up to the end of a small segment');
    await store(5);
    t.equal(await bytesOf(1), segmentBytes, 'the next ones lie within the file');
    let chunk = 6;
    for (; files.numbers().length === 1; chunk += 1) await store(chunk);
    t.equal(await bytesOf(1), files.sizeOf(1), 'a segment that is full ends with its last record');
    await store(chunk);
    t.ok((await bytesOf(2)) > files.sizeOf(2));
    await log.close();
    t.equal(await bytesOf(2), files.sizeOf(2), 'nor are there zeros in the one that was written to last');
  },
);

/** A disk whose files can be no longer than `maxBytes`, and that writes what fits. */
function diskOf(maxBytes: number): Disk {
  const open = async (path: string, how: 'existing' | 'create'): Promise<DiskFile> => {
    const file = await nodeDisk.open(path, how);
    return {
      writev: async (pieces, position) => {
        const all = Buffer.concat(pieces);
        await file.writev([all.subarray(0, maxBytes - position)], position);
        if (position + all.length > maxBytes)
          throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      },
      pread: async (...part) => await file.pread(...part),
      datasync: async bytes => await file.datasync(bytes),
      truncate: async length => await file.truncate(length),
      size: async () => await file.size(),
      close: async () => await file.close(),
    };
  };
  return { ...nodeDisk, open };
}

t.test('where there is no room for zeros a record is stored without them', async t => {
  const directory = join(await temporaryDirectory(t), 'segments');
  await mkdir(directory);
  const files = new SegmentFiles(diskOf(2000), directory, silent);
  const options = {
    files,
    clock: systemClock,
    log: silent,
    segmentBytes: 1 << 20,
    onSealed: () => undefined,
  };
  const log = new SegmentLog(options);
  t.teardown(async () => await files.close());
  for (let chunk = 1; chunk <= 5; chunk += 1) {
    await log.enqueue(record(chunk));
    await log.sync();
  }
  t.ok(files.sizeOf(1) > 5 * 100);
  await log.close();
  t.equal((await stat(join(directory, segmentFileName(1)))).size, files.sizeOf(1));
});
