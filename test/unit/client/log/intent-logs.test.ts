/** When a sync waits for data nodes alone, and when not. */
import t from 'tap';
import { IntentLogs, type TakenIntent } from '../../../../src/client/log/intent-logs.js';
import { nextTurn, systemClock } from '../../../../src/platform/clock.js';
import { IntendedChange } from '../../../../src/protocol/intents.js';
import type { Attributes } from '../../../../src/protocol/types.js';
import { LOG } from '../../metadata/support/harness.js';
import { record } from '../../rules/records.js';

const INODE = 7;
const TIMES = { mtime: { sec: 1, nsec: 0 }, ctime: { sec: 1, nsec: 0 } };

/** A client with a file to itself, and a server that says yes. */
class Client {
  attributes: Attributes | undefined = record({ inode: INODE, version: 10 });
  isHeld = true;
  recalls = 0;
  greetings = 1;
  syncs = 0;
  readonly ended: unknown[] = [];
  readonly logs = new IntentLogs({
    log: LOG,
    held: {
      has: () => this.isHeld,
      ticket: () => this.recalls,
      mayGive: ticket => ticket >= this.recalls,
    },
    syncsBefore: 1,
    attributes: () => this.attributes,
    greetings: () => this.greetings,
    sync: async () => {
      this.syncs += 1;
      await Promise.resolve();
    },
    end: async ({ inode, number, committed }) => {
      this.ended.push([inode, number, committed]);
      await Promise.resolve();
    },
  });

  /** With a log in use. */
  static inUse(): Client {
    const client = new Client();
    client.open();
    return client;
  }

  open(number = 99, attributes = this.#now): void {
    this.logs.opened({ log: number, nodes: [1, 2] }, attributes, this.logs.ticket());
    this.logs.synced(attributes);
  }

  get #now(): Attributes {
    if (!this.attributes) throw new Error('nothing is known');
    return this.attributes;
  }

  take(): TakenIntent | undefined {
    return this.logs.take(INODE, [{ offset: 0, length: 10 }], TIMES);
  }

  /** Commits these, as data nodes have them; returns whether that is ahead of the server. */
  commit(intents: readonly (TakenIntent | undefined)[], hasIntent = true): boolean {
    const stored = intents.map(intent => ({ intent, chunk: { hasIntent }, mtime: TIMES.mtime }));
    const carriesOut = this.logs.carriedOut(stored);
    if (!carriesOut) return false;
    this.attributes = { ...this.#now, version: this.#now.version + 1 };
    this.logs.committed(carriesOut, this.attributes);
    this.logs.answered(INODE, carriesOut);
    return true;
  }
}

t.test('a sync is covered while the file is changed by nothing but intents that data nodes have', async t => {
  const client = Client.inUse();
  t.ok(client.logs.covers(INODE), 'nothing was written');
  const first = client.take();
  t.equal(first?.sequence, 1);
  t.same(first && IntendedChange.decode(first.change).extents, [{ offset: 0, length: 10 }]);
  t.notOk(client.logs.covers(INODE), 'while it is on its way');
  t.ok(client.commit([first]));
  t.ok(client.logs.covers(INODE));
  t.ok(client.commit([client.take(), client.take()]), 'two in one commit');
  t.ok(client.logs.covers(INODE));
});

t.test('an intent that not each node has is not carried out, nor is one behind it', async t => {
  const client = Client.inUse();
  const lost = client.take();
  const next = client.take();
  t.notOk(client.commit([lost], false));
  t.notOk(client.commit([next]), 'it does not follow');
  t.notOk(client.logs.covers(INODE));
});

t.test('a chunk whose time was set since its intent was taken is not carried out by it', async t => {
  const client = Client.inUse();
  const intent = client.take();
  const mtime = { sec: 5, nsec: 0 };
  t.equal(client.logs.carriedOut([{ intent, chunk: { hasIntent: true }, mtime }]), undefined);
});

const ENDINGS: readonly (readonly [string, (client: Client) => void])[] = [
  ['the file was recalled, also when it is back', client => void (client.recalls += 1)],
  ['the file is not held', client => void (client.isHeld = false)],
  ['the connection was made anew', client => void (client.greetings += 1)],
  [
    'another change was committed',
    client => void (client.attributes = record({ inode: INODE, version: 12 })),
  ],
  [
    'an attribute was changed',
    client => void (client.attributes = record({ inode: INODE, version: 11, ctime: { sec: 77, nsec: 0 } })),
  ],
  ['something else was logged in the same moment', client => client.logs.void(INODE)],
];

for (const [what, end] of ENDINGS) {
  t.test(`no sync is covered from when ${what}`, async t => {
    const client = Client.inUse();
    t.ok(client.commit([client.take()]));
    end(client);
    t.notOk(client.logs.covers(INODE));
    client.isHeld = true;
    t.equal(client.take(), undefined, 'and no intent is taken');
    t.notOk(client.logs.covers(INODE), 'for good');
    t.same(client.logs.want(INODE, 2), { before: { log: 99, last: 1 } }, 'another log is asked for');
  });
}

t.test('a log is in use when the file was synced as a whole in the usual way', async t => {
  const client = new Client();
  const { attributes } = client;
  if (!attributes) return;
  client.logs.opened({ log: 5, nodes: [1, 2] }, attributes, client.logs.ticket());
  t.notOk(client.logs.covers(INODE));
  client.logs.synced({ ...attributes, version: 9 });
  t.notOk(client.logs.covers(INODE), 'as it was before');
  client.logs.synced(attributes);
  t.ok(client.logs.covers(INODE));
});

t.test('a recall that overtakes the answer keeps the log from being used', async t => {
  const client = new Client();
  const { attributes } = client;
  if (!attributes) return;
  const ticket = client.logs.ticket();
  client.recalls += 1;
  client.logs.opened({ log: 5, nodes: [1, 2] }, attributes, ticket);
  client.logs.synced(attributes);
  t.notOk(client.logs.covers(INODE));
});

t.test('only files with two replicas, that are this client’s alone, get a log', async t => {
  const client = new Client();
  t.equal(client.logs.want(INODE, 1), undefined);
  client.isHeld = false;
  t.equal(client.logs.want(INODE, 2), undefined);
  client.isHeld = true;
  t.same(client.logs.want(INODE, 2), {});
});

t.test('the server is asked to sync now and then, so that data nodes may forget', async t => {
  const client = Client.inUse();
  let last: TakenIntent | undefined;
  for (let count = 0; count < 100; count += 1) t.ok(client.commit([(last = client.take())]));
  await nextTurn(systemClock);
  t.equal(client.syncs, 1);
  t.ok((last?.owner.done ?? 0) >= 64, `${last?.owner.done} are done`);
});

t.test('a bounded number of logs is kept; the server is told of the others', async t => {
  const client = new Client();
  for (let inode = 1; inode <= 40; inode += 1) {
    client.attributes = record({ inode, version: 10 });
    client.open(1000 + inode);
  }
  t.same(client.ended.slice(0, 2), [
    [1, 1001, 0],
    [2, 1002, 0],
  ]);
  t.equal(client.ended.length, 8);
});
