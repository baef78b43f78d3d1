/** How the kernel itself takes what the invalidator tells it (fuse/kernel/invalidator.ts): on a mount that nobody serves. */
import { closeSync, readSync, writeSync } from 'node:fs';
import t, { type Test } from 'tap';
import { negotiate } from '../../../../src/fuse/kernel/init.js';
import { Invalidator } from '../../../../src/fuse/kernel/invalidator.js';
import { KnownInodes } from '../../../../src/fuse/kernel/known-inodes.js';
import { OverlayNames } from '../../../../src/fuse/kernel/overlay-names.js';
import { fuseInHeader, fuseOutHeader } from '../../../../src/fuse/kernel/structs.js';
import { ROOT_INODE, S_IFDIR } from '../../../../src/protocol/file-mode.js';
import type { Timer } from '../../../../src/platform/clock.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { mountPlace, mountUnserved, WHY_NO_MOUNT } from '../support/mount-place.js';
import { recordedLog } from '../support/recorded-log.js';

const SKIP = { skip: WHY_NO_MOUNT };
const FILE = 0o100644;
/** An inode that this kernel has never heard of. */
const ON_ITS_WAY = 99;

/** Time goes on as soon as somebody waits for it. */
class EagerClock extends ManualClock {
  readonly pausesMs: number[] = [];
  onPause: (delayMs: number) => void = () => undefined;

  override setTimer(delayMs: number, callback: () => void): Timer {
    this.pausesMs.push(delayMs);
    this.onPause(delayMs);
    setImmediate(() => this.advance(delayMs));
    return super.setTimer(delayMs, callback);
  }
}

async function invalidator(t: Test) {
  const fd = mountUnserved(await mountPlace(t));
  const request = Buffer.alloc(1 << 21);
  const bytes = request.subarray(0, readSync(fd, request));
  const { answer } = negotiate(bytes);
  const { unique } = fuseInHeader.view(bytes, 0);
  writeSync(
    fd,
    Buffer.concat([fuseOutHeader.encode({ len: fuseOutHeader.bytes + answer.length, unique }), answer]),
  );
  const [clock, known] = [new EagerClock(), new KnownInodes()];
  const overlay = new OverlayNames({ clock, keepsNames: true, leasedMs: 1000 });
  const { log } = recordedLog();
  const drops = new Invalidator({
    fd,
    known,
    overlay,
    clock,
    log,
    writeNow: message => void writeSync(fd, message),
  });
  known.addLookup(ROOT_INODE, S_IFDIR, 0);
  known.addLookup(ON_ITS_WAY, FILE, 0);
  clock.advance(5000);
  t.teardown(async () => {
    await drops.close();
    closeSync(fd);
  });
  return { clock, known, drops };
}

t.test('what the kernel knows is dropped at once', SKIP, async t => {
  const { clock, known, drops } = await invalidator(t);
  await drops.dropAttributes([ROOT_INODE]);
  t.same(clock.pausesMs, []);
  t.notOk(known.isTold(ROOT_INODE));
});

t.test(
  'an answer that the kernel has not taken up yet is tried again, and given up after a while',
  SKIP,
  async t => {
    const { clock, known, drops } = await invalidator(t);
    await drops.dropAttributes([ROOT_INODE, ON_ITS_WAY]);
    t.same(clock.pausesMs, [1, 4, 20, 100, 400]);
    t.notOk(known.has(ON_ITS_WAY), 'nobody took it, and nobody will forget it');
    t.ok(known.has(ROOT_INODE) && !known.isTold(ROOT_INODE));
  },
);

t.test('once the kernel has forgotten it nothing is tried any more', SKIP, async t => {
  const { clock, known, drops } = await invalidator(t);
  clock.onPause = delayMs => {
    if (delayMs === 20) known.takeLookups(ON_ITS_WAY, 1);
  };
  await drops.dropAttributes([ON_ITS_WAY]);
  t.same(clock.pausesMs, [1, 4, 20]);
});
