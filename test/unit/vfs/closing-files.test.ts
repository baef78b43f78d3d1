/** What close(2) does not wait for, and who waits for it instead. */
import t from 'tap';
import { createLogger } from '../../../src/platform/log.js';
import type { Client } from '../../../src/client/client.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { ClosingFiles } from '../../../src/vfs/closing-files.js';
import type { OpenFile } from '../../../src/vfs/open-file.js';
import { StoreGathering } from '../../../src/vfs/store-gathering.js';
import { ManualClock } from '../../support/manual-clock.js';
import { rest } from './support/scripted-commits.js';

const MIB = 1 << 20;

/** As much of a file as closing looks at; what it waits for the test ends. */
class DirtyFile {
  readonly inode = 7;
  readonly goal = 1;
  isDirty = true;
  pendingBytes = 10;
  isAcknowledged = false;
  /** By whom it is waited for. */
  readonly waits: string[] = [];
  end: () => void = () => undefined;
  givesUp: DfsError | undefined;

  /** Whether what is acknowledged goes with what was acknowledged last. */
  joins = false;

  acknowledge(): boolean {
    this.isAcknowledged = true;
    return !this.joins;
  }

  async settled(): Promise<void> {
    this.waits.push('settled');
    await new Promise<void>(resolve => (this.end = resolve));
  }

  async settledWithin(): Promise<void> {
    this.waits.push('settledWithin');
    if (this.givesUp) throw this.givesUp;
  }

  async flush(): Promise<void> {
    this.waits.push('flush');
    await new Promise<void>(() => undefined);
  }

  get asFile(): OpenFile {
    return this as unknown as OpenFile;
  }
}

function closingFiles() {
  const state = { isOpen: true, isProven: true, hasRoom: true, mayOwe: true, owners: 0 };
  const clock = new ManualClock();
  // Closing uses no more of a client than this.
  const client = {
    log: createLogger('test', 'silent'),
    session: {
      changes: {
        get isOpen() {
          return state.isOpen;
        },
        mayOwe: () => state.mayOwe,
        hasRoomFor: () => state.hasRoom,
      },
      heldLocks: { owners: () => Array.from({ length: state.owners }) },
    },
    writer: { proof: { isProven: () => state.isProven } },
  } as unknown as Client;
  const over: OpenFile[] = [];
  const shared = { client, clock, timeoutMs: 50, gathering: new StoreGathering(clock) };
  return { state, clock, over, closing: new ClosingFiles(shared, file => over.push(file)) };
}

t.test('close waits whenever what it acknowledges might not come true', async t => {
  const { state, closing } = closingFiles();
  const file = new DirtyFile();
  t.ok(closing.mayCloseAhead(file.asFile));
  const obstacles: Record<string, () => void> = {
    'somebody else decides': () => (state.isOpen = false),
    'no data node has taken anything of late': () => (state.isProven = false),
    'data nodes are nearly full': () => (state.hasRoom = false),
    'the server has no room for more changes': () => (state.mayOwe = false),
    'the file is locked': () => (state.owners = 1),
    'it is large': () => (file.pendingBytes = MIB + 1),
    'there is nothing to wait for': () => (file.isDirty = false),
  };
  for (const [what, arise] of Object.entries(obstacles)) {
    const before = { ...state };
    arise();
    t.notOk(closing.mayCloseAhead(file.asFile), what);
    Object.assign(state, before);
    Object.assign(file, { isDirty: true, pendingBytes: 10 });
  }
});

t.test('what was closed ahead is acknowledged, and let go when it is settled', async t => {
  const { closing, over } = closingFiles();
  const file = new DirtyFile();
  closing.closeAhead(file.asFile);
  t.ok(file.isAcknowledged);
  t.ok(closing.has(file.asFile));
  let isSettled = false;
  const settled = closing.settled().then(() => (isSettled = true));
  await rest();
  t.notOk(isSettled);
  file.end();
  await settled;
  t.notOk(closing.has(file.asFile));
  t.same(over.length, 1);
});

t.test('what goes with an earlier close is settled with that', async t => {
  const { closing, over } = closingFiles();
  const file = new DirtyFile();
  closing.closeAhead(file.asFile);
  file.joins = true;
  closing.closeAhead(file.asFile);
  file.end();
  await closing.settled();
  t.same(over, [file.asFile]);
});

t.test('a file that is closed again and again is as old as its oldest close that is not settled', async t => {
  const { closing, clock } = closingFiles();
  const file = new DirtyFile();
  const other = new DirtyFile();
  closing.closeAhead(file.asFile);
  for (let round = 0; round < 4; round += 1) {
    clock.advance(300);
    t.ok(closing.mayCloseAhead(other.asFile), `after ${(round + 1) * 300} ms`);
    closing.closeAhead(file.asFile);
    file.end();
    await rest();
  }
  clock.advance(500);
  t.notOk(closing.mayCloseAhead(other.asFile), 'it takes too long');
  file.end();
  await closing.settled();
  t.ok(closing.mayCloseAhead(other.asFile));
});

t.test('a file whose commit is not answered stays until it is', async t => {
  const { closing, over } = closingFiles();
  const file = new DirtyFile();
  closing.linger(file.asFile);
  closing.linger(file.asFile);
  t.notOk(file.isAcknowledged, 'nobody was told that it is written');
  t.ok(closing.has(file.asFile));
  file.end();
  await rest();
  t.same(over, [file.asFile]);
  t.notOk(closing.has(file.asFile));
});

t.test('closed twice, it is let go once, after the second', async t => {
  const { closing, over } = closingFiles();
  const file = new DirtyFile();
  closing.closeAhead(file.asFile);
  closing.closeAhead(file.asFile);
  file.end();
  await rest();
  t.ok(closing.has(file.asFile), 'what was written since is not settled yet');
  file.end();
  await closing.settled();
  t.equal(over.length, 1);
});

t.test('a rename waits for the bytes, but not longer than the timeout', async t => {
  const { closing, clock } = closingFiles();
  const file = new DirtyFile();
  closing.closeAhead(file.asFile);
  await closing.flushed(8);
  for (const inode of [7, undefined]) {
    const refused = t.rejects(closing.flushed(inode), { code: 'EIO' });
    clock.advance(50);
    await refused;
  }
  t.same(file.waits, ['settled', 'flush', 'flush']);
  file.end();
});

t.test('a recall gives up what is not stored in time, and never fails', async t => {
  const { closing } = closingFiles();
  const [stored, stuck] = [new DirtyFile(), new DirtyFile()];
  stuck.givesUp = new DfsError('EIO', 'the metadata server does not answer');
  for (const file of [stored, stuck]) closing.closeAhead(file.asFile);
  await closing.settledForRecall();
  t.same(stored.waits, ['settled', 'settledWithin']);
  for (const file of [stored, stuck]) file.end();
});
