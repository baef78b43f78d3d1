/**
 * What a client learns of the answer to a request that changes something, and how it numbers several at once
 * (client/requests/numbered-requests.ts). That each is executed once is for exactly-once.test.ts.
 */
import t, { type Test } from 'tap';
import { NumberedRequests } from '../../../../src/client/requests/numbered-requests.js';
import { UnsyncedChanges } from '../../../../src/client/requests/unsynced-changes.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { blocks } from '../../../../src/protocol/content-commands.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { S_IFDIR } from '../../../../src/protocol/file-mode.js';
import { mkdir } from '../../../../src/protocol/namespace-commands.js';
import type { InodeRange } from '../../../../src/protocol/inode-ranges.js';
import type { Changed } from '../../../../src/protocol/session-commands.js';
import type { Attributes, Once } from '../../../../src/protocol/types.js';
import { Routes } from '../../../../src/rpc/routes.js';
import { waitUntil } from '../../../support/wait-until.js';
import { refusal } from '../../metadata/support/harness.js';
import { record } from '../../rules/records.js';
import { Answers, startRequests } from '../support/scripted-requests.js';

const PARENT = 1;
const MADE = record({ inode: 10, mode: S_IFDIR | 0o755, nlink: 2 });
const CHANGED = record({ inode: PARENT, mode: S_IFDIR | 0o755, nlink: 3 });
const REQUEST = { parent: PARENT, name: Buffer.from('name'), mode: 0o755, uid: 0, gid: 0 };
const COMMIT = { inode: 5, extents: [], chunks: [], size: 0, mtime: { sec: 1, nsec: 0 } };
const NEWS = { isNews: true };

interface Reply extends Partial<Changed> {
  readonly attributes: Attributes;
  readonly given?: readonly InodeRange[];
}

async function scene(t: Test) {
  const numbered: Once[] = [];
  const answers = new Answers<Reply>();
  const routes = new Routes()
    .on(mkdir, async ({ once }) => {
      numbered.push(once);
      return await answers.next();
    })
    .on(blocks, async ({ once }) => {
      numbered.push(once);
      return await answers.next();
    });
  const scripted = await startRequests(t, routes);
  const { session: server, requests, caches, acquisition } = scripted;
  const unsynced = new UnsyncedChanges(systemClock);
  const changing = new NumberedRequests({ server, requests, unsynced, caches, acquisition });
  /** The server has the request that was sent last, and answers it. */
  const answered = async (count: number, reply: Reply = { attributes: MADE }): Promise<void> => {
    await waitUntil(() => answers.count === count, { what: `${count} requests wait` });
    answers.give(reply);
  };
  return { ...scripted, changing, unsynced, numbered, answers, answered };
}

t.test('each request has a number of its own, and says below which all answers have arrived', async t => {
  const { changing, numbered, answers } = await scene(t);
  const [first, second] = [changing.execute(mkdir, REQUEST, NEWS), changing.execute(mkdir, REQUEST, NEWS)];
  await waitUntil(() => answers.count === 2, { what: 'both are there' });
  answers.refuse(new DfsError('EEXIST', 'it is there'));
  t.equal(await refusal(first), 'EEXIST');
  const third = changing.execute(mkdir, REQUEST, NEWS);
  await waitUntil(() => answers.count === 2, { what: 'the third is there' });
  for (const _ of [second, third]) answers.give({ attributes: MADE });
  await Promise.all([second, third]);
  t.same(
    numbered.map(({ sequence, acknowledged }) => [sequence, acknowledged]),
    [
      [1, 0],
      [2, 0],
      [3, 1],
    ],
  );
});

t.test('the answer’s attributes are kept, those of the directory too', async t => {
  const { changing, caches, answered } = await scene(t);
  const executing = changing.execute(mkdir, REQUEST, NEWS);
  await answered(1, { attributes: MADE, changed: [CHANGED], gone: [] });
  t.match(await executing, { attributes: MADE });
  t.same(caches.attributes.get(MADE.inode), MADE);
  t.same(caches.attributes.get(PARENT), CHANGED);
});

t.test('an answer that tells nothing new changes nothing that is kept', async t => {
  const { changing, caches, answered } = await scene(t);
  const known = { ...CHANGED, nlink: 9 };
  caches.attributes.keep(caches.attributes.ticket(), known);
  const executing = changing.execute(mkdir, REQUEST, { isNews: false });
  await answered(1, { attributes: MADE, changed: [CHANGED], gone: [] });
  await executing;
  t.same(caches.attributes.get(PARENT), known);
});

t.test('after a failure nobody knows what was changed', async t => {
  const { changing, caches, answers } = await scene(t);
  caches.attributes.keep(caches.attributes.ticket(), CHANGED);
  const executing = changing.execute(mkdir, REQUEST, NEWS);
  await waitUntil(() => answers.count === 1, { what: 'it is there' });
  answers.refuse(new DfsError('EIO', 'half of it'));
  t.equal(await refusal(executing), 'EIO');
  t.equal(caches.attributes.get(PARENT), undefined);
});

t.test('what the answer gives is this client’s; a directory that it does not give is contested', async t => {
  const { changing, held, acquisition, answered } = await scene(t);
  for (const [given, isContested] of [
    [[{ first: PARENT, count: 1 }], false],
    [[], true],
  ] as const) {
    const executing = changing.execute(mkdir, REQUEST, NEWS);
    await answered(1, { attributes: MADE, given });
    await executing;
    t.equal(held.has(PARENT), !isContested);
    t.equal(acquisition.turns.isContested(PARENT), isContested);
    held.clear();
  }
});

t.test('an answered change is named to a server that may have lost it, with all that it touched', async t => {
  const { changing, unsynced, answered } = await scene(t);
  const executing = changing.execute(mkdir, REQUEST, NEWS);
  t.ok(unsynced.isEmpty, 'not before it is answered');
  const touched = record({ inode: 77 });
  await answered(1, { attributes: MADE, changed: [CHANGED, touched], gone: [] });
  await executing;
  t.same(unsynced.sequences(), [1]);
  t.same(unsynced.lose([1]), { directories: [PARENT], inodes: [MADE.inode, 77] });
});

t.test('a durable change makes durable what was answered before it was sent, and nothing later', async t => {
  const { changing, unsynced, answers } = await scene(t);
  const change = async (): Promise<unknown> => await changing.execute(mkdir, REQUEST, NEWS);
  const before = change();
  await waitUntil(() => answers.count === 1, { what: 'the first is there' });
  answers.give({ attributes: MADE });
  await before;
  const durable = changing.execute(blocks, { ...COMMIT, durable: true }, NEWS);
  await waitUntil(() => answers.count === 1, { what: 'the durable one is there' });
  const meanwhile = change();
  await waitUntil(() => answers.count === 2, { what: 'another one is there' });
  // The durable one is answered last.
  const held = answers.take();
  answers.give({ attributes: MADE });
  await meanwhile;
  t.same(unsynced.sequences(), [1, 3]);
  held.answer({ attributes: record({ inode: 5 }) });
  await durable;
  t.same(unsynced.sequences(), [3]);
});

t.test('what a program was told earlier is not sent when it must not be', async t => {
  const { changing, numbered } = await scene(t);
  const refused = new DfsError('ESTALE', 'others have gone on');
  t.equal(
    await refusal(changing.execute(mkdir, REQUEST, { isNews: false, refusal: () => refused })),
    'ESTALE',
  );
  t.same(numbered, []);
});

t.test('a request whose session ended while it was under way is not sent in the next one', async t => {
  const { changing, numbered, answers, metadata } = await scene(t);
  const executing = refusal(changing.execute(mkdir, REQUEST, NEWS));
  await waitUntil(() => answers.count === 1, { what: 'it is there' });
  metadata.current = 2;
  metadata.breakConnections();
  t.equal(await executing, 'EIO');
  t.equal(numbered.length, 1);
});

t.test('a request that waits for its first connection may be sent in any session', async t => {
  const { changing, metadata, numbered, answered, session } = await scene(t);
  metadata.cable.cut();
  await waitUntil(async () => (await refusal(session.connect(0))) !== 'OK', { what: 'the server is away' });
  const executing = changing.execute(mkdir, REQUEST, NEWS);
  metadata.current = 2;
  metadata.cable.mend();
  await answered(1);
  await executing;
  t.equal(numbered[0]?.session, 2);
});
