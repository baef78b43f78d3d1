/** docs/decisions/05, the server's side: who may have cached what changed is told, and waited for. */
import t from 'tap';
import { ChangeTrace } from '../../../src/metadata/leases/change-trace.js';
import type { Revocation } from '../../../src/metadata/leases/lease-holder.js';
import { ExclusiveLeases } from '../../../src/metadata/leases/exclusive-leases.js';
import { LeaseTable } from '../../../src/metadata/leases/lease-table.js';
import { LEASE_MS, LOST_CONNECTION_MS, SILENT_CLIENT_MS } from '../../../src/protocol/limits.js';
import { record } from '../rules/records.js';
import { LOG } from './support/harness.js';
import { ManualClock } from '../../support/manual-clock.js';

const WRITER = 1;
const READER = 2;
const FILE = 10;
const DIRECTORY = 11;
const OTHER_DIRECTORY = 12;
const OTHER_READER = 3;

const FILE_RECORD = { ...record({ inode: FILE }), parent: 0 };
const DIRECTORY_RECORD = { ...record({ inode: DIRECTORY, mode: 0o40755 }), parent: 1 };

/** A lease table, what its sessions were told, and who was fenced. */
class Fixture {
  readonly clock = new ManualClock();
  readonly fenced: number[] = [];
  readonly table: LeaseTable;
  readonly exclusive = new ExclusiveLeases(this.clock);
  /** Directories that the reader says it has looked at. */
  used: number[] = [];
  readonly told: Revocation[] = [];
  /** The reader's. */
  readonly connection = { isClosed: false };
  /** Lets the reader answer what it was told. */
  answer: () => void = () => undefined;

  constructor(memoryBytes?: number) {
    const fence = async (session: number): Promise<void> => {
      this.fenced.push(session);
      this.table.end(session);
    };
    this.table = new LeaseTable(this.clock, LOG, this.exclusive, () => false, fence, memoryBytes);
  }

  /** The reader caches, and read these. */
  read(...inodes: number[]): void {
    this.table.renew(READER);
    this.table.connect(
      READER,
      this.connection,
      {
        revoke: async revocation => {
          this.told.push(revocation);
          await new Promise<void>(resolve => (this.answer = resolve));
          return { used: this.used };
        },
        recall: async () => ({ kept: [] }),
      },
      false,
    );
    for (const inode of inodes) this.table.reader(READER)?.(inode);
  }

  /** A change by the writer. */
  change(inode: number, names: string[] = []): Promise<unknown> | undefined {
    const trace = new ChangeTrace();
    if (names.length === 0) trace.gone(inode);
    for (const name of names) trace.name(inode, Buffer.from(name), 0);
    return this.table.revoke(WRITER, trace);
  }
}

/** A file gets a name in the directory, by the writer. */
function publish(called: string, version = 1): ChangeTrace {
  const trace = new ChangeTrace();
  trace.inode({ ...DIRECTORY_RECORD, version }, true);
  trace.name(DIRECTORY, Buffer.from(called), FILE);
  trace.inode({ ...FILE_RECORD, version }, false);
  return trace;
}

/** What a message told, in words: names with where they lead, and inodes with their versions. */
function newsOf(told: Revocation | undefined): string[] {
  const { names = [], attributes = [] } = told?.news ?? {};
  return [
    ...names.map(({ name, inode }) => `${Buffer.from(name).toString()} ${inode}`),
    ...attributes.map(({ inode, version }) => `${inode} v${version}`).sort(),
  ];
}

async function turn(): Promise<void> {
  await new Promise(resolve => {
    setImmediate(resolve);
  });
}

/** Whether the promise has resolved. */
async function isOver(promise: Promise<unknown> | undefined): Promise<boolean> {
  let over = false;
  void promise?.then(() => (over = true));
  await turn();
  return over;
}

t.test('a change waits until who read it has dropped it, and for nobody else', async t => {
  const fixture = new Fixture();
  fixture.read(FILE);
  t.equal(fixture.change(DIRECTORY, ['other']), undefined, 'nobody read the directory');
  const waiting = fixture.change(FILE);
  await turn();
  t.same(
    fixture.told.map(({ inodes }) => inodes.map(({ inode }) => inode)),
    [[FILE]],
  );
  t.notOk(await isOver(waiting), 'it waits');
  t.ok(fixture.change(FILE), 'the next change of the same inode waits for the same answer');
  fixture.answer();
  t.ok(await isOver(waiting));
  t.equal(fixture.change(FILE), undefined, 'who dropped it is not told again');
});

t.test('who is told of a change before everybody has heard of it waits for that', async t => {
  const fixture = new Fixture();
  const { table } = fixture;
  fixture.read(DIRECTORY);
  t.equal(table.heard(WRITER, [DIRECTORY, FILE]), undefined, 'nothing is under way');
  const rename = new ChangeTrace();
  rename.name(DIRECTORY, Buffer.from('old'), 0);
  rename.name(OTHER_DIRECTORY, Buffer.from('new'), FILE);
  void table.revoke(WRITER, rename);
  await turn();
  t.equal(table.heard(WRITER, [FILE]), undefined, 'what has not changed is told at once');
  t.equal(
    table.heard(READER, [DIRECTORY]),
    undefined,
    'and whoever owes an answer: before it, he may have to ask',
  );
  const told = table.heard(WRITER, [DIRECTORY]);
  const toldOfOther = table.heard(WRITER, [OTHER_DIRECTORY]);
  t.notOk(await isOver(told));
  t.notOk(await isOver(toldOfOther), 'the other half of the change, which nobody has cached');
  fixture.answer();
  t.ok(await isOver(told));
  t.ok(await isOver(toldOfOther));
  t.equal(table.heard(WRITER, [OTHER_DIRECTORY]), undefined);
});

t.test('a session is not told of what it changed itself', async t => {
  const fixture = new Fixture();
  fixture.read(FILE);
  const trace = new ChangeTrace();
  trace.gone(FILE);
  t.equal(fixture.table.revoke(READER, trace), undefined);
});

t.test('names are told one by one, and who goes on reading is told again', async t => {
  const fixture = new Fixture();
  fixture.read(DIRECTORY);
  void fixture.change(DIRECTORY, ['a', 'b']);
  await turn();
  const [told] = fixture.told;
  t.same(
    told?.names.map(({ name }) => Buffer.from(name).toString()),
    ['a', 'b'],
  );
  fixture.answer();
  await turn();
  fixture.table.reader(READER)?.(DIRECTORY);
  t.ok(fixture.change(DIRECTORY, ['c']));
});

t.test('who alone hears of a change is told at once what came of it', async t => {
  const fixture = new Fixture();
  fixture.read(DIRECTORY);
  void fixture.table.revoke(WRITER, publish('file'));
  await turn();
  t.same(newsOf(fixture.told[0]), [`file ${FILE}`, `${FILE} v1`, `${DIRECTORY} v1`]);
  fixture.answer();
  await turn();
  t.ok(fixture.change(FILE), 'it counts as who has read that');
});

t.test('where others hear of it too, nobody is told before all have', async t => {
  const fixture = new Fixture();
  fixture.read(DIRECTORY);
  fixture.table.renew(OTHER_READER);
  fixture.table.reader(OTHER_READER)?.(DIRECTORY);
  void fixture.table.revoke(WRITER, publish('file'));
  await turn();
  t.same(
    fixture.told.map(({ names, news }) => [names.length, news]),
    [[1, undefined]],
  );
});

t.test('what a session has to itself is told to nobody', async t => {
  const fixture = new Fixture();
  fixture.read(DIRECTORY);
  fixture.exclusive.give(WRITER, FILE);
  void fixture.table.revoke(WRITER, publish('file'));
  await turn();
  t.same(newsOf(fixture.told[0]), [`${DIRECTORY} v1`]);
});

t.test('what is told is as it was when the message left', async t => {
  const fixture = new Fixture();
  fixture.read(DIRECTORY);
  void fixture.table.revoke(WRITER, publish('first', 1));
  void fixture.table.revoke(WRITER, publish('second', 2));
  await turn();
  t.same(newsOf(fixture.told[0]), [`second ${FILE}`, `${FILE} v2`, `${DIRECTORY} v2`]);
  fixture.answer();
  await turn();
  void fixture.table.revoke(WRITER, publish('third', 3));
  const own = new ChangeTrace();
  own.inode({ ...DIRECTORY_RECORD, version: 4 }, true);
  void fixture.table.revoke(READER, own);
  await turn();
  t.same(
    newsOf(fixture.told[1]),
    [`${FILE} v3`],
    'the session knows better of the directory that it changed itself',
  );
});

t.test('a directory that a session looks at is told on and on, without being read again', async t => {
  for (const [used, most] of [
    [[], 9],
    [[DIRECTORY], 20],
  ] as const) {
    const fixture = new Fixture();
    fixture.used = [...used];
    fixture.read(DIRECTORY);
    for (let change = 0; change < 20; change += 1) {
      void fixture.table.revoke(WRITER, publish(`f${change}`, change));
      await turn();
      fixture.answer();
      await turn();
    }
    t.equal(
      fixture.told.filter(({ names, directories }) => names.length + directories.length > 0).length,
      most,
    );
  }
});

t.test('who does not answer is waited for until its lease has run out, and then fenced', async t => {
  const fixture = new Fixture();
  fixture.read(FILE);
  const waiting = fixture.change(FILE);
  await turn();
  fixture.clock.advance(SILENT_CLIENT_MS - LEASE_MS);
  t.equal(fixture.table.renew(READER), 0, 'its lease is not renewed while it owes an answer');
  t.notOk(await isOver(waiting), 'it is connected, and may be slow');
  fixture.clock.advance(LEASE_MS + 1);
  t.ok(await isOver(waiting));
  t.same(fixture.fenced, [READER]);
  t.notOk(fixture.table.isHolder(READER));
});

t.test(
  'a client whose connection is closed is waited for until its lease must be over, and keeps its session',
  async t => {
    t.ok(LOST_CONNECTION_MS > LEASE_MS, 'by then it believes nothing any more');
    const fixture = new Fixture();
    fixture.read(FILE, DIRECTORY);
    fixture.connection.isClosed = true;
    const waiting = fixture.change(FILE);
    await turn();
    fixture.clock.advance(LEASE_MS);
    t.notOk(await isOver(waiting), 'it may not have noticed that');
    fixture.clock.advance(LOST_CONNECTION_MS - LEASE_MS + 500);
    t.ok(await isOver(waiting));
    t.same(fixture.fenced, [], 'nothing that it sends when it is back does harm');
    fixture.read();
    t.equal(fixture.change(DIRECTORY), undefined, 'what it had cached is gone');
  },
);

t.test('a client that is gone for long already is not waited for', async t => {
  const fixture = new Fixture();
  fixture.read(FILE);
  fixture.connection.isClosed = true;
  fixture.table.look();
  fixture.clock.advance(LOST_CONNECTION_MS);
  fixture.table.look();
  t.equal(fixture.change(FILE), undefined);
});

t.test(
  'after a restart a client that does not come back is waited for as long as one whose connection closed',
  async t => {
    const fixture = new Fixture();
    fixture.table.presume(READER);
    const waiting = fixture.change(FILE);
    await turn();
    fixture.clock.advance(LEASE_MS);
    t.notOk(await isOver(waiting));
    fixture.clock.advance(LOST_CONNECTION_MS - LEASE_MS + 500);
    t.ok(await isOver(waiting));
  },
);

t.test('after a restart whoever cached before counts as caching everything, until it is back', async t => {
  const fixture = new Fixture();
  fixture.table.presume(READER);
  const waiting = fixture.change(FILE);
  t.ok(waiting, 'nobody knows what it cached');
  t.notOk(await isOver(waiting));
  fixture.table.connect(
    READER,
    { isClosed: false },
    {
      revoke: async revocation => {
        fixture.told.push(revocation);
        return {};
      },
      recall: async () => ({ kept: [] }),
    },
    true,
  );
  t.ok(await isOver(waiting));
  t.ok(fixture.told.some(({ everything }) => everything));
});

t.test('a request that is answered from memory waits for every message under way', async t => {
  const fixture = new Fixture();
  fixture.read(FILE);
  void fixture.change(FILE);
  const repeated = new ChangeTrace();
  repeated.isRepeated = true;
  const waiting = fixture.table.revoke(WRITER, repeated);
  await turn();
  t.notOk(await isOver(waiting));
  fixture.answer();
  t.ok(await isOver(waiting));
});

t.test('a session that reads more than may be noted drops everything', async t => {
  const fixture = new Fixture();
  fixture.read();
  const read = fixture.table.reader(READER);
  for (let inode = 100; inode < 100 + 1_100_000; inode += 1) read?.(inode);
  await turn();
  t.ok(fixture.told.some(({ everything }) => everything));
  t.ok(fixture.change(100), 'and until it has, every change waits for it');
});

t.test('when all of them together cache more than there is memory for, who caches most drops it', async t => {
  const fixture = new Fixture(10 * 100);
  fixture.read(FILE, DIRECTORY, 12, 13, 14, 15);
  fixture.table.renew(WRITER);
  for (const inode of [20, 21, 22, 23]) fixture.table.reader(WRITER)?.(inode);
  t.same(fixture.told, []);
  fixture.table.reader(WRITER)?.(24);
  await turn();
  t.match(fixture.told, [{ everything: true }]);
  const change = fixture.change(FILE);
  t.notOk(await isOver(change), 'until it has answered, changes wait');
  fixture.answer();
  await change;
});
