/** The order and the fate of commits, with a metadata server that answers what the test says. */
import t from 'tap';
import type { Client } from '../../../src/client/client.js';
import { ExtentMap } from '../../../src/client/content/extent-map.js';
import type { IntentLogs } from '../../../src/client/log/intent-logs.js';
import type { Answers } from '../../../src/client/log/foretelling.js';
import type { LogPlace } from '../../../src/client/log/waiting-changes.js';
import type { RequestOf } from '../../../src/protocol/command.js';
import type { blocks } from '../../../src/protocol/content-commands.js';
import { DfsError } from '../../../src/protocol/errors.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { FileWriter } from '../../../src/vfs/file-writer.js';
import { intentLogs, logInUse } from './support/intent-logs.js';
import { surroundingsOf } from './support/writer-surroundings.js';

type Commit = Omit<RequestOf<typeof blocks>, 'once'>;

const INODE = 7;
/** What may be written and not committed (support/writer-surroundings.ts). */
const DIRTY_BYTES = 1 << 20;
const ATTRIBUTES = { inode: INODE, size: 0, version: 1, ctime: { sec: 1, nsec: 0 } } as Attributes;
const NOW = { sec: 1_700_000_000, nsec: 5 };

/** What stands in the place of a client: stores everything, and asks the test what comes of commits. */
class ScriptedServer {
  /** Whether commits are taken ahead. */
  isAhead = true;
  /** Commits that were logged ahead and not answered: how each is refused. */
  readonly logged: ((reason: DfsError) => void)[] = [];
  readonly commitsLogged: Commit[] = [];
  /** Places in the log of changes that were reserved; something else may be acknowledged behind the last one. */
  readonly places: (LogPlace | undefined)[] = [];
  readonly placesLeft: LogPlace[] = [];
  /** Commits that were sent to the server, in their order. */
  readonly sent: Commit[] = [];
  /** What the next commits that are sent are refused with. */
  readonly refusals: (DfsError | undefined)[] = [];
  /** Called when somebody waits for the log. */
  onDrained: () => void = () => undefined;
  onQuiesce: () => void = () => undefined;
  readonly failures: DfsError[] = [];
  /** By how much the server moves what is appended. */
  movedBy = 0;
  readonly writer: FileWriter;
  readonly #intents: IntentLogs;
  #chunk = 0;

  constructor(intents = intentLogs()) {
    this.#intents = intents;
    // A writer uses no more of a client than this.
    const client = this.#client() as unknown as Client;
    const shared = surroundingsOf(client);
    this.writer = new FileWriter(INODE, shared, {
      extents: new ExtentMap(),
      goal: () => 1,
      committed: () => undefined,
      failed: error => this.failures.push(error),
      landed: () => undefined,
      uncommitted: () => undefined,
      hasMuchUnsynced: () => undefined,
    });
  }

  async write(offset: number, text: string): Promise<void> {
    await this.writer.write(offset, Buffer.from(text), { now: NOW });
    await this.writer.flush(false);
  }

  #reserve(): LogPlace {
    const place = { order: 2 * this.places.length, sinceMs: 0, hurry: () => undefined };
    this.places.push(place);
    return place;
  }

  get offsetsSent(): number[] {
    return this.sent.map(({ extents }) => extents[0]?.offset ?? -1);
  }

  #client() {
    const isOpen = (): boolean => this.isAhead;
    return {
      session: {
        intents: this.#intents,
        changes: {
          drained: async () => this.onDrained(),
          reserve: () => this.#reserve(),
          isLast: (place: LogPlace) => place === this.places.at(-1),
          leave: (place: LogPlace) => this.placesLeft.push(place),
        },
        foretold: {
          content: {
            commit: (request: Commit, _extents: ExtentMap, { refused }: Required<Answers>) => {
              if (!isOpen()) return undefined;
              this.logged.push(refused);
              this.commitsLogged.push(request);
              return ATTRIBUTES;
            },
          },
        },
        ordered: {
          quiesce: async () => this.onQuiesce(),
          execute: async (_command: unknown, request: Commit) => {
            this.sent.push(request);
            const refusal = this.refusals.shift();
            if (refusal) throw refusal;
            return { attributes: ATTRIBUTES, moved: request.append ? this.movedBy : 0 };
          },
        },
      },
      writer: {
        store: async () => {
          this.#chunk += 1;
          return { chunk: this.#chunk, nodes: [1], length: 1, checksum: 0, hasIntent: true };
        },
      },
      grants: { clear: () => undefined },
      content: { keep: () => undefined },
    };
  }
}

const VOID = new DfsError('ESTALE', 'the grant is void');

t.test(
  'what was written first, and is refused late, is committed before what was written over it',
  async t => {
    const server = new ScriptedServer();
    await server.write(0, 'older');
    server.isAhead = false;
    server.onDrained = () => server.logged.shift()?.(VOID);
    await server.write(0, 'newer');
    await server.writer.flush(false);
    t.equal(server.sent.length, 2);
    t.same(
      server.sent.map(({ chunks }) => chunks[0]?.chunk),
      [3, 2],
      'the older bytes, which were stored anew, come first',
    );
  },
);

t.test('intents that the server refuses are asked for again as what they are, in their order', async t => {
  const server = new ScriptedServer(logInUse(ATTRIBUTES, 9));
  for (const text of ['older', 'newer']) {
    await server.writer.write(0, Buffer.from(text), { now: NOW });
    await server.writer.flush(true);
  }
  t.same(
    server.commitsLogged.map(({ carriesOut, durable }) => [carriesOut, durable]),
    [
      [{ log: 9, first: 1, last: 1 }, false],
      [{ log: 9, first: 2, last: 2 }, false],
    ],
    'the second may be ahead though it lies over the first',
  );
  server.isAhead = false;
  for (const refuse of server.logged.splice(0)) refuse(new DfsError('ENOSPC', 'no room'));
  await server.writer.flush(false);
  t.same(
    server.sent.map(({ carriesOut }) => carriesOut),
    [
      { log: 9, first: 1, last: 1 },
      { log: 9, first: 2, last: 2 },
    ],
  );
});

t.test('a plain write that is refused late keeps its place while others append', async t => {
  const server = new ScriptedServer();
  await server.write(4096, 'plain');
  server.isAhead = false;
  server.onDrained = () => server.logged.shift()?.(VOID);
  await server.writer.append(Buffer.from('appended'), () => 5000, { now: NOW });
  await server.writer.flush(false);
  await server.writer.flush(false);
  t.same(server.offsetsSent, [4096, 5000]);
  t.same(
    server.sent.map(({ append }) => append ?? false),
    [false, true],
  );
});

t.test('what is given up while its commit waits for others fails with the reason of that', async t => {
  const server = new ScriptedServer();
  server.isAhead = false;
  const lost = new DfsError('EIO', 'given up');
  server.onQuiesce = () => server.writer.abandon(lost);
  await server.write(0, 'bytes');
  t.same(server.failures, [lost]);
  t.equal(server.sent.length, 0);
});

t.test('a commit that is refused after it was acknowledged is tried once more, then told', async t => {
  const server = new ScriptedServer();
  const refusal = new DfsError('ENOSPC', 'no room');
  await server.write(0, 'first');
  server.logged.shift()?.(refusal);
  await server.writer.flush(false);
  t.equal(server.sent.length, 1, 'the bytes were kept, and committed by the server itself');
  t.same(server.failures, []);

  await server.write(10, 'second');
  server.refusals.push(refusal);
  server.logged.shift()?.(refusal);
  await server.writer.flush(false);
  t.same(server.failures, [refusal]);
});

t.test('a commit carries the times that were shown', async t => {
  const server = new ScriptedServer();
  server.isAhead = false;
  await server.writer.write(0, Buffer.from('bytes'), { now: NOW });
  const given = { sec: 1, nsec: 2 };
  server.writer.setTime(given);
  await server.writer.flush(false);
  t.match(server.sent, [{ mtime: given, ctime: NOW }]);
});

t.test('a write that goes through is answered when the server has committed it', async t => {
  const server = new ScriptedServer();
  await server.writer.write(0, Buffer.from('first'), { now: NOW, isThrough: () => true });
  t.same(server.offsetsSent, [0], 'by asking, although the client might commit ahead');
  t.equal(server.logged.length, 0);
  t.notOk(server.writer.isPending);
});

t.test('a write that goes through reports its own failure, and no other', async t => {
  const server = new ScriptedServer();
  const refusal = new DfsError('ENOSPC', 'no room');
  await server.writer.write(0, Buffer.from('buffered'), { now: NOW });
  server.isAhead = false;
  server.refusals.push(refusal);
  await server.writer.write(100, Buffer.from('through'), { now: NOW, isThrough: () => true });
  t.same(server.failures, [refusal], 'what was buffered before is reported by its file');
  server.refusals.push(refusal);
  await t.rejects(
    server.writer.write(200, Buffer.from('more'), { now: NOW, isThrough: () => true }),
    refusal,
  );
  t.equal(server.failures.length, 1);
});

t.test('an append that goes through says where its bytes are', async t => {
  const server = new ScriptedServer();
  server.isAhead = false;
  server.movedBy = 50;
  const append = server.writer.append(Buffer.from('line'), () => 10, { now: NOW, isThrough: () => true });
  t.equal(await append, 60);
});

t.test('a write whose handle loses its lock while it waits is not done, and takes no room', async t => {
  const lost = new DfsError('EIO', 'the lock was given to others');
  for (const isAppend of [false, true]) {
    const server = new ScriptedServer();
    let isLost = false;
    const manner = { now: NOW, refusal: () => (isLost ? lost : undefined) };
    const write = async (bytes: number): Promise<unknown> =>
      isAppend
        ? await server.writer.append(Buffer.alloc(bytes), () => 0, manner)
        : await server.writer.write(0, Buffer.alloc(bytes), manner);
    await write(DIRTY_BYTES);
    const waiting = write(1);
    isLost = true;
    server.writer.abandon(lost);
    await t.rejects(waiting, lost, isAppend ? 'appended' : 'written');
    t.notOk(server.writer.isPending);
    t.same(server.sent, []);
    isLost = false;
    // All room is free again, or this would wait for ever.
    await write(DIRTY_BYTES);
  }
});

t.test('what is written through is shown by the server alone, since others may have written too', async t => {
  const server = new ScriptedServer();
  const through = { now: NOW, isThrough: () => true };
  const appended = server.writer.append(Buffer.from('through'), () => 100, through);
  const written = server.writer.write(0, Buffer.from('through'), through);
  await server.writer.write(50, Buffer.from('buffered'), { now: NOW });
  t.same(
    server.writer.layers().flatMap(layer => layer.map(({ offset }) => offset)),
    [50],
  );
  t.equal(server.writer.shownEnd, 58);
  await Promise.all([appended, written]);
  t.same(server.offsetsSent, [100, 0]);
});

t.test('closes that follow each other are one chunk, one extent and one commit', async t => {
  const server = new ScriptedServer();
  const append = async (text: string): Promise<boolean> => {
    await server.writer.append(Buffer.from(text), () => 0, { now: NOW });
    return server.writer.acknowledge();
  };
  t.ok(await append('one '));
  t.notOk(await append('two '), 'it goes with the one before');
  server.places.push(undefined);
  t.ok(await append('three'), 'not past what was acknowledged in between');
  t.same(
    server.writer.layers().flatMap(layer => layer.map(({ offset }) => offset)),
    [8, 0, 4],
  );
  await server.writer.flush(false);
  t.same(
    server.commitsLogged.map(({ extents, chunks }) => [extents, chunks.length]),
    [
      [[{ offset: 0, length: 8, chunk: 1, chunkOffset: 0 }], 1],
      [[{ offset: 8, length: 5, chunk: 2, chunkOffset: 0 }], 1],
    ],
  );
  t.equal(server.placesLeft.length, 2);
  t.equal(server.writer.pendingBytes, 0);
});
