/** What one open file shows, with servers that answer what the test says. */
import t from 'tap';
import type { Client } from '../../../src/client/client.js';
import type { ReadRange } from '../../../src/client/content/content-reader.js';
import { ExtentMap } from '../../../src/client/content/extent-map.js';
import type { Payload } from '../../../src/protocol/frame.js';
import { DfsError } from '../../../src/protocol/errors.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { OpenFile } from '../../../src/vfs/open-file.js';
import { ReadAhead } from '../../../src/vfs/read-ahead.js';
import { rest } from './support/scripted-commits.js';
import { intentLogs } from './support/intent-logs.js';
import { surroundingsOf } from './support/writer-surroundings.js';

const ATTRIBUTES = { inode: 7, size: 8, version: 1, goal: 1 } as Attributes;

/** A file of eight bytes on data nodes, which the test reads. */
function scene() {
  const held = { alone: true };
  const failed: DfsError[] = [];
  const stores: ((reason: DfsError) => void)[] = [];
  const reads: { readonly range: ReadRange; readonly answer: (text: string) => void }[] = [];
  // An open file uses no more of a client than this, as long as nothing is committed.
  const client = {
    session: {
      intents: intentLogs(),
      lease: { isWanted: true, isAlive: true },
      serverClock: { now: () => ({ sec: 1, nsec: 0 }) },
      getattr: async () => ATTRIBUTES,
      ordered: { quiesce: async () => undefined },
      changes: { drained: async () => undefined },
    },
    log: { error: () => undefined },
    writer: { store: async () => await new Promise((_, reject) => stores.push(reject)) },
    content: {
      read: async (range: ReadRange) =>
        await new Promise<Payload>(resolve =>
          reads.push({ range, answer: text => resolve([Buffer.from(text)]) }),
        ),
    },
  } as unknown as Client;
  const surroundings = surroundingsOf(client, {
    mayBuffer: () => held.alone,
    onFailed: (_, reason) => void failed.push(reason),
  });
  const file = new OpenFile(ATTRIBUTES, false, new ExtentMap(), surroundings);
  const read = async (): Promise<string> =>
    Buffer.concat(await file.read(new ReadAhead(0), 0, 100)).toString();
  return { file, held, failed, stores, reads, read };
}

t.test('what was written lies over what data nodes have, and only the rest is read from them', async t => {
  const { file, reads, read } = scene();
  await file.write(2, Buffer.from('NEW'));
  const shown = read();
  await rest();
  t.same(
    reads.map(({ range }) => [range.offset, range.length]),
    [
      [0, 2],
      [5, 3],
    ],
  );
  for (const { range, answer } of reads) answer('abcdefgh'.slice(range.offset, range.offset + range.length));
  t.equal(await shown, 'abNEWfgh');
  t.equal(file.size, 8);
  t.ok(file.isDirty);
});

t.test('a read during which a commit is taken back is done again', async t => {
  const { file, reads, read } = scene();
  const shown = read();
  await rest();
  file.serverStarted(undefined);
  reads.shift()?.answer('old old ');
  await rest();
  t.equal(reads.length, 1, 'it may have missed what was neither on data nodes nor here');
  reads.shift()?.answer('new new ');
  t.equal(await shown, 'new new ');
});

t.test('changes that the server has lost are a failure of the file', async t => {
  const { file } = scene();
  file.serverStarted(undefined);
  t.equal(file.failures, 0, 'nothing is lost when it merely began anew');
  const lost = new DfsError('EIO', 'lost');
  file.serverStarted(lost);
  t.equal(file.failures, 1);
  t.equal(file.lastFailure, lost);
});

t.test(
  'what was written while alone has reached the server, or failed, before others are read beside it',
  async t => {
    const { file, held, failed, stores, reads, read } = scene();
    await file.write(2, Buffer.from('NEW'));
    // The client was away for too long, and somebody else has written meanwhile.
    held.alone = false;
    const shown = read();
    await rest();
    t.same(reads, [], 'where its own bytes belong is not known yet');
    t.equal(stores.length, 1);
    const full = new DfsError('ENOSPC', 'the data nodes are full');
    stores.shift()?.(full);
    await rest();
    t.same(failed, [full]);
    reads.shift()?.answer('theirs, ');
    t.equal(await shown, 'theirs, ');
  },
);
