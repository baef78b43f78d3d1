/** How the process that serves a mount answers one that wants to take it over (cli/mount/hand-over.ts). */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openControlDirectory, socketPath } from '../../../../src/cli/mount/control-socket.js';
import { EndWatch } from '../../../../src/cli/mount/end-watch.js';
import { EndWatchers } from '../../../../src/cli/mount/end-watchers.js';
import { HandOverOffer } from '../../../../src/cli/mount/hand-over.js';
import type { FuseMount, HandOver } from '../../../../src/fuse/driver.js';
import { findMount, type MountEntry } from '../../../../src/fuse/mount-table.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { openMailbox } from '../../../../src/platform/descriptor-passing.js';
import { LocalMessages } from '../../../../src/platform/local-messages.js';
import { createLogger } from '../../../../src/platform/log.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import {
  PredecessorMessage,
  SuccessorMessage,
  TAKE_OVER_VERSION,
} from '../../../../src/protocol/take-over.js';
import type { FileSystemHandOver } from '../../../../src/vfs/file-system.js';
import { waitUntil } from '../../../support/wait-until.js';

/** What is mounted there stands for a DFS. */
const MOUNT_POINT = '/';
const PATIENCE_MS = 5000;
const SETTINGS = {
  host: '127.0.0.1',
  port: 8000,
  timeout: 1000,
  readOnly: false,
  goal: 2,
  dirtyBytes: 1,
  cacheBytes: 1,
  readAheadBytes: 0,
  shortCircuit: true,
  atime: 'noatime' as const,
  entryTimeoutMs: 0,
  attrTimeoutMs: 0,
  negativeTimeoutMs: 0,
  busyPollMs: 0.05,
};
const SESSION = {
  session: 7,
  secret: Buffer.from('secret'),
  cluster: 'c',
  run: 'r',
  sequence: 5,
  lockRequests: 0,
  locks: [],
  opens: [],
  unsynced: [],
  lost: { inodes: [] },
};
const FILES = { files: [], handles: [], lastHandle: 0, lockOwners: [], sqliteIndexes: [], failures: [] };
const KERNEL = {
  init: { minor: 44, flags: 0, flags2: 0, maxWrite: 1 << 20 },
  keepsNames: true,
  pageless: [],
  lockingGroups: [],
  told: [],
  directories: [],
  lastDirectory: 0,
  waiting: [],
};

/** A mount whose calls are noted. */
function fakeMount(pause = async (): Promise<void> => undefined) {
  const calls: string[] = [];
  const descriptor = openSync('/dev/null', 'r');
  const kernel: HandOver = {
    descriptor,
    prepare: async () => void calls.push('prepare'),
    async pause() {
      await pause();
      calls.push('pause');
    },
    state: () => ({ kernel: KERNEL, inodes: [Buffer.alloc(16)] }),
    resume: () => void calls.push('resume'),
    leave: () => void calls.push('leave'),
  };
  const fileSystem: FileSystemHandOver = {
    settled: async () => undefined,
    suspend() {
      calls.push('suspend');
      return { session: SESSION, files: FILES, root: 1 };
    },
    goOn: () => void calls.push('goOn'),
    leave: async () => undefined,
  };
  return { calls, kernel, fileSystem, close: () => closeSync(descriptor) };
}

async function offered(
  t: Test,
  kernel: HandOver | undefined,
  fileSystem: FileSystemHandOver | undefined,
  watchers = new EndWatchers(),
) {
  const mounted: FuseMount = {
    mountPoint: MOUNT_POINT,
    unmounted: new Promise(() => undefined),
    unmount: async () => undefined,
    ...(kernel ? { handOver: kernel } : {}),
  };
  const log = createLogger('test', 'silent');
  const offer = await HandOverOffer.begin({
    mounted,
    fileSystem,
    settings: SETTINGS,
    watchers,
    clock: systemClock,
    log,
  });
  t.teardown(() => offer.close());
  const directory = await openControlDirectory(process.getuid?.() ?? 0);
  const path = socketPath(directory, (await findMount(MOUNT_POINT))?.deviceMinor ?? -1);
  t.teardown(() => rmSync(path, { force: true }));
  return { offer, connect: async () => await greeted(await LocalMessages.connect(path, systemClock)) };
}

async function greeted(messages: LocalMessages) {
  const say = async (message: Parameters<typeof SuccessorMessage.encode>[0]): Promise<void> =>
    await messages.send(SuccessorMessage.encode(message));
  const next = async () => PredecessorMessage.decode(await messages.receive(PATIENCE_MS));
  await say({ say: 'hello', versions: [TAKE_OVER_VERSION], program: '0.9.0', process: 4711 });
  return { say, next, first: await next(), close: () => messages.close() };
}

function mailboxIn(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'dfs-box-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'box');
  const mailbox = openMailbox(path);
  t.teardown(() => mailbox.close());
  return { path, mailbox };
}

t.test('a whole conversation, while nobody else is answered', async t => {
  const { calls, kernel, fileSystem, close } = fakeMount();
  t.teardown(close);
  const { offer, connect } = await offered(t, kernel, fileSystem);
  const successor = await connect();
  t.match(successor.first, { say: 'settings', settings: SETTINGS });
  const { path, mailbox } = mailboxIn(t);
  await successor.say({ say: 'give', mailbox: path });
  t.match(await successor.next(), { say: 'state', fileSystem: { root: 1, session: { session: 7 } } });
  t.equal((await successor.next()).say, 'inodes');
  t.equal((await successor.next()).say, 'whole');
  const descriptor = mailbox.take();
  t.type(descriptor, 'number');
  if (descriptor !== undefined) closeSync(descriptor);
  const another = await connect();
  await another.say({ say: 'give', mailbox: path });
  t.match(await another.next(), { say: 'refused', failure: { code: 'EBUSY' } });
  await successor.say({ say: 'ready' });
  t.equal((await successor.next()).say, 'yours');
  t.ok(await offer.settled(), 'it is the other one’s');
  await successor.say({ say: 'serving' });
  t.same(await offer.handedOver, { process: 4711, isServing: true });
  t.same(calls, ['prepare', 'pause', 'suspend', 'leave']);
  successor.close();
});

t.test('it goes on when the other one ends before it is ready, or programs wait for servers', async t => {
  const { calls, kernel, fileSystem, close } = fakeMount();
  t.teardown(close);
  const { offer, connect } = await offered(t, kernel, fileSystem);
  const successor = await connect();
  await successor.say({ say: 'give', mailbox: mailboxIn(t).path });
  for (let said = ''; said !== 'whole';) said = (await successor.next()).say;
  successor.close();
  await waitUntil(() => calls.includes('resume'), { what: 'it goes on', deadlineMs: PATIENCE_MS });
  t.same(calls, ['prepare', 'pause', 'suspend', 'goOn', 'resume']);
  t.notOk(await offer.settled());

  const busy = fakeMount(async () => {
    throw new DfsError('EBUSY', 'requests wait');
  });
  t.teardown(busy.close);
  const second = await offered(t, busy.kernel, busy.fileSystem);
  const refused = await second.connect();
  await refused.say({ say: 'give', mailbox: mailboxIn(t).path });
  t.match(await refused.next(), { say: 'refused', failure: { code: 'EBUSY', message: 'requests wait' } });
  t.same(busy.calls, ['prepare', 'resume']);
});

t.test('one that was given the mount and ends leaves it to the guard', async t => {
  const { calls, kernel, fileSystem, close } = fakeMount();
  t.teardown(close);
  const { offer, connect } = await offered(t, kernel, fileSystem);
  const successor = await connect();
  await successor.say({ say: 'give', mailbox: mailboxIn(t).path });
  for (let said = ''; said !== 'whole';) said = (await successor.next()).say;
  await successor.say({ say: 'ready' });
  t.equal((await successor.next()).say, 'yours');
  successor.close();
  t.same(await offer.handedOver, { process: 4711, isServing: false });
  t.notOk(calls.includes('leave') || calls.includes('resume'));
});

t.test('a driver that cannot hand over says so', async t => {
  const { fileSystem, close } = fakeMount();
  close();
  const { connect } = await offered(t, undefined, fileSystem);
  t.match((await connect()).first, {
    say: 'refused',
    failure: { code: 'EOPNOTSUPP', message: /fuse-native/ },
  });
});

async function watched(t: Test): Promise<EndWatch> {
  const mount: MountEntry | undefined = await findMount(MOUNT_POINT);
  const watch = mount && (await EndWatch.begin(mount, process.getuid?.() ?? 0, systemClock));
  if (!watch) throw new Error('somebody listens');
  t.teardown(() => watch.close());
  return watch;
}

t.test('those that wait for the end are told of it, and what could not be stored', async t => {
  const watchers = new EndWatchers();
  await offered(t, undefined, undefined, watchers);
  const watch = await watched(t);
  t.notOk(await watch.ended(1), 'the mount is there still');
  const [first, second] = [await watched(t), await watched(t)];
  await watchers.tell({ say: 'unmounted' });
  const late = await watched(t);
  const told = Promise.all([first, second, late].map(async each => await t.rejects(each.ended(), /no room/)));
  await t.rejects(watchers.tellEnd(Promise.reject(new DfsError('ENOSPC', 'no room'))));
  await told;
});

t.test('those that wait go on to the process that takes the mount over', async t => {
  const before = new EndWatchers();
  await offered(t, undefined, undefined, before);
  const watch = await watched(t);
  const after = new EndWatchers();
  await offered(t, undefined, undefined, after);
  const ended = watch.ended();
  await before.tell({ say: 'handed over' });
  await before.tellEnd(Promise.resolve());
  await after.tell({ say: 'unmounted' });
  await t.rejects(
    Promise.all([ended, after.tellEnd(Promise.reject(new DfsError('EIO', 'not stored')))]),
    /not stored/,
  );
  await t.rejects(ended, /not stored/);
});
