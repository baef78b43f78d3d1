import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { RecordKind } from '../../../src/datanode/record.js';
import { SegmentFiles } from '../../../src/datanode/segment-files.js';
import { SegmentLog, type NewRecord } from '../../../src/datanode/segment-log.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeDisk } from '../../../src/platform/disk.js';
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
