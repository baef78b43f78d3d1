/** What the server is asked for beside the log of changes (client/requests/ordered-changes.ts). */
import t from 'tap';
import type { NumberedOptions } from '../../../../src/client/requests/numbered-requests.js';
import {
  OrderedChanges,
  type OrderedChangesOptions,
} from '../../../../src/client/requests/ordered-changes.js';
import { rename } from '../../../../src/protocol/namespace-commands.js';
import { waitUntil } from '../../../support/wait-until.js';
import { leasedClient } from '../support/leased-client.js';

const INODE = 7;
const QUIESCE_MS = 200;
const MOVE = { parent: 1, name: Buffer.from('a'), newParent: 1, newName: Buffer.from('b'), flags: 0 };
const BATCH = 41;

/** A client that has an inode to itself, and a server that answers when the test says so. */
async function scene(isEmpty: boolean) {
  const { clock, held } = await leasedClient();
  held.add(INODE);
  const sent: Pick<NumberedOptions, 'afterBatch' | 'returned'>[] = [];
  const answers: (() => void)[] = [];
  const told: number[] = [];
  const options = {
    clock,
    log: { noteRequest: () => undefined, isEmpty, isOpen: true, isOpenAt: () => false },
    held,
    opens: { tell: async (inodes: readonly number[]) => void told.push(...inodes) },
    requests: {
      inOrder: async (_what, _place, attempt) => await attempt(BATCH),
    },
    numbered: {
      execute: async (_command, _request, { afterBatch, returned }) => {
        sent.push({ afterBatch, returned });
        await new Promise<void>(resolve => answers.push(resolve));
        return { inode: INODE, replaced: 0 };
      },
    },
    // Of the generic methods only what one command needs.
  } as OrderedChangesOptions;
  return { clock, held, sent, answers, told, ordered: new OrderedChanges(options) };
}

const isSent = async ({ sent }: { readonly sent: readonly unknown[] }): Promise<void> => {
  await waitUntil(() => sent.length === 1, { what: 'the request is sent' });
};

t.test('a change comes behind the batch that is under way, if there is one', async t => {
  for (const [isEmpty, batch] of [
    [true, undefined],
    [false, BATCH],
  ] as const) {
    const { ordered, sent, answers } = await scene(isEmpty);
    const renamed = ordered.execute(rename, MOVE);
    await isSent({ sent });
    t.equal(sent[0]?.afterBatch, batch);
    t.same([ordered.isBusy, ordered.isExecuting], [true, true]);
    answers.shift()?.();
    await renamed;
    t.same([ordered.isBusy, ordered.isExecuting], [false, false]);
  }
});

t.test('an inode goes back with the change after which others will want it', async t => {
  const { ordered, held, sent, answers, told } = await scene(true);
  const renamed = ordered.executeReturning(rename, MOVE, INODE, () => true);
  t.notOk(held.has(INODE), 'nothing more of it is decided here');
  await isSent({ sent });
  t.same(told, [INODE], 'that it is open was told before');
  t.same(sent[0]?.returned?.(), [INODE]);
  held.give(held.ticket(), [{ first: INODE, count: 1 }]);
  t.notOk(held.has(INODE), 'nor is it taken back meanwhile');
  answers.shift()?.();
  await renamed;
  held.give(held.ticket(), [{ first: INODE, count: 1 }]);
  t.ok(held.has(INODE));
});

t.test(
  'one of which something is not logged stays the client’s by the server’s word, which recalls it',
  async t => {
    const { ordered, sent, answers } = await scene(true);
    const renamed = ordered.executeReturning(rename, MOVE, INODE, () => false);
    await isSent({ sent });
    t.equal(sent[0]?.returned?.(), undefined);
    answers.shift()?.();
    await renamed;
  },
);

t.test('what is not this client’s alone is not given back', async t => {
  const { ordered, sent, answers } = await scene(true);
  const renamed = ordered.executeReturning(rename, MOVE, INODE + 1, () => true);
  await isSent({ sent });
  t.equal(sent[0]?.returned, undefined);
  answers.shift()?.();
  await renamed;
});

t.test('who may decide waits for what is under way, but not for long', async t => {
  const { ordered, clock, sent, answers } = await scene(true);
  await ordered.quiesce(INODE);
  const renamed = ordered.execute(rename, MOVE);
  await isSent({ sent });
  await ordered.quiesce(INODE + 1);
  let isQuiet = false;
  const quiet = ordered.quiesce(INODE).then(() => (isQuiet = true));
  clock.advance(QUIESCE_MS - 1);
  t.notOk(isQuiet);
  clock.advance(1);
  await quiet;
  answers.shift()?.();
  await renamed;
});
