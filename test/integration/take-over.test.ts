/** The process that serves a mount is replaced by another one, while programs use the mount. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import t, { type Test } from 'tap';
import { socketPath } from '../../src/cli/mount/control-socket.js';
import { findMount } from '../../src/fuse/mount-table.js';
import { systemClock } from '../../src/platform/clock.js';
import { openMailbox } from '../../src/platform/descriptor-passing.js';
import { LocalMessages } from '../../src/platform/local-messages.js';
import { PredecessorMessage, SuccessorMessage, TAKE_OVER_VERSION } from '../../src/protocol/take-over.js';
import { shell, startCluster, waitUntil, type Cluster, type MountProcess } from '../support/cluster.js';
import { OTHER_USER, AS_OTHER_USER, whyNotOtherUser } from '../support/other-user.js';
import { inClone, inSharedClone } from '../support/programs.js';

const LONG = { timeout: 120_000 };
const ENDED_MS = 20_000;
const STEP_MS = 10_000;
function hello(version = TAKE_OVER_VERSION, program = 'test'): Buffer {
  return SuccessorMessage.encode({ say: 'hello', versions: [version], program, process: process.pid });
}

/** A program to which lines are said, and that says lines. */
interface Talk {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  say(line: string): void;
  next(): Promise<string>;
}

function start(t: Test, command: string, ...parameters: string[]): Talk {
  const child = spawn(command, parameters, { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
  t.teardown(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    say: line => void child.stdin.write(`${line}\n`),
    next: async () => String((await lines.next()).value),
  };
}

function python(t: Test, program: string, ...parameters: string[]): Talk {
  return start(t, 'python3', inClone(`test/support/${program}`), ...parameters);
}

async function succeeded({ child }: Talk): Promise<boolean> {
  if (child.exitCode === null) await once(child, 'exit');
  return child.exitCode === 0;
}

/** Replaces the process that serves the mount, and sees to it that the earlier one has ended well. */
async function replaced(t: Test, cluster: Cluster, mount: MountProcess): Promise<MountProcess> {
  const before = await findMount(mount.mountPoint);
  const successor = await cluster.takeOver(mount);
  t.equal(await mount.exited(ENDED_MS), 0, 'the earlier process has ended well');
  t.same(await findMount(mount.mountPoint), before, 'the mount is the same');
  return successor;
}

/** Does what a successor does, up to a step of the conversation, and is gone then. */
async function halfTakenOver(
  t: Test,
  { mountPoint }: Pick<MountProcess, 'mountPoint'>,
  last: 'hello' | 'give' | 'state',
): Promise<void> {
  const messages = await connected(mountPoint);
  await messages.send(hello());
  t.equal(PredecessorMessage.decode(await messages.receive(STEP_MS)).say, 'settings');
  if (last !== 'hello') {
    const path = `/run/dfs-mounts/test-${process.pid}.box`;
    const mailbox = openMailbox(path);
    await messages.send(SuccessorMessage.encode({ say: 'give', mailbox: path }));
    if (last === 'state') {
      t.equal(PredecessorMessage.decode(await messages.receive(STEP_MS)).say, 'state');
      const descriptor = mailbox.take();
      t.type(descriptor, 'number', 'the device was sent');
      if (descriptor !== undefined) closeSync(descriptor);
    }
    mailbox.close();
  }
  messages.close();
}

async function connected(mountPoint: string): Promise<LocalMessages> {
  const entry = await findMount(mountPoint);
  if (!entry) throw new Error('it is mounted');
  return await LocalMessages.connect(socketPath('/run/dfs-mounts', entry.deviceMinor), systemClock);
}

async function tries(kind: string, path: string): Promise<string> {
  return await shell(`python3 ${inClone('test/support/locking.py')} attempt ${kind} ${path}`);
}

t.test('a mount goes on with another process', LONG, async t => {
  const cluster = await startCluster(t, { dataNodes: 2, mounts: 2 });
  const [first, other] = cluster.mounts;
  if (!first || !other) throw new Error('two mounts were asked for');
  const { mountPoint } = first;
  let mount = first;

  await t.test('what a program has open, has locked and waits for', async t => {
    const directory = join(mountPoint, 'steadfast');
    const elsewhere = join(other.mountPoint, 'steadfast');
    await shell(`mkdir ${directory}`);
    const program = python(t, 'steadfast.py', directory);
    t.equal(await program.next(), 'ready');
    const waiter = python(t, 'locking.py', 'wait', 'fcntl', join(directory, 'locked'));
    await waitUntil(
      async () => (await shell(`cat /proc/${waiter.child.pid}/wchan || true`)).includes('request_wait'),
      { what: 'a program waits for the lock', deadlineMs: 10_000 },
    );
    mount = await replaced(t, cluster, mount);
    t.equal(await tries('fcntl', join(elsewhere, 'locked')), 'EAGAIN', 'the lock is held');
    t.equal(await tries('flock', join(elsewhere, 'flocked')), 'EAGAIN');
    t.equal(await shell(`cat ${elsewhere}/written`), 'before', 'what was written is stored');
    mount = await replaced(t, cluster, mount);
    program.say('go on');
    t.same(JSON.parse(await program.next()), {
      written: 'before after',
      nameless: 'still HERE links=0',
      gone: 'links=0',
      mapped: 'before after',
      names: 3000,
      distinct: 3000,
      here: 3000,
    });
    t.equal(await shell(`cat ${elsewhere}/written ${elsewhere}/appended`), 'before afterbefore after');
    t.equal(waiter.child.exitCode, null, 'it waits still');
    program.say('end');
    t.ok(await succeeded(program));
    t.match(await waiter.next(), /^\d/, 'it has the lock');
    t.ok(await succeeded(waiter));
    t.equal(await tries('flock', join(elsewhere, 'flocked')), 'got it', 'nothing is locked any more');
    t.equal(await tries('fcntl', join(elsewhere, 'locked')), 'got it');
  });

  await t.test('tar runs out of and into it, fsx on it, and both mounts see one another', async t => {
    const source = join(cluster.directory, 'tree');
    await shell(
      `mkdir ${source} && cd ${inClone('')} && cp -r src test/posix ${source} && cp -r ${source} ${mountPoint}/tree`,
    );
    const loop = `for i in 1 2; do rm -rf "$1/copy" && mkdir "$1/copy" && tar -C "$1/tree" -cf - . | tar -C "$1/copy" -xf - && diff -r "$2" "$1/copy" || exit 1; done`;
    const tar = start(t, 'bash', '-o', 'pipefail', '-c', loop, 'tar', mountPoint, source);
    const fsx = start(
      t,
      'python3',
      inClone('test/posix/fsx.py'),
      '--seed=7',
      '--ops=1500',
      join(mountPoint, 'fsx'),
      join(other.mountPoint, 'fsx'),
    );
    const meter = python(t, 'pauses.py', mountPoint);
    t.equal(await meter.next(), 'ready');
    let times = 0;
    while (tar.child.exitCode === null && times < 3) {
      mount = await replaced(t, cluster, mount);
      times += 1;
    }
    t.ok(times > 1, `it was replaced ${times} times`);
    t.ok(await succeeded(tar), 'every copy is whole');
    t.ok(await succeeded(fsx));
    meter.say('end');
    t.comment(await meter.next());
    t.ok(await succeeded(meter));
    await shell(`diff -r ${source} ${other.mountPoint}/copy`);
    await shell(
      `echo there > ${other.mountPoint}/file && grep there ${mountPoint}/file && echo here > ${mountPoint}/file`,
    );
    t.equal(await shell(`cat ${other.mountPoint}/file`), 'here');
  });

  await t.test('one that ends in the middle leaves the mount with the process that has it', async t => {
    const meter = python(t, 'pauses.py', mountPoint);
    t.equal(await meter.next(), 'ready');
    const waiter = python(t, 'locking.py', 'hold', 'flock', join(mountPoint, 'file'));
    t.equal(await waiter.next(), 'held');
    for (const last of ['hello', 'give', 'state'] as const) {
      await halfTakenOver(t, mount, last);
      await shell(`echo ${last} > ${mountPoint}/file`, { timeoutMs: 10_000 });
      t.equal(await shell(`cat ${other.mountPoint}/file`), last, `it had come to '${last}'`);
      t.equal(await tries('flock', join(other.mountPoint, 'file')), 'EAGAIN');
    }
    meter.say('end');
    t.comment(await meter.next());
    t.ok(await succeeded(meter), 'a program that works on it notices a pause at the most');
    const told = (await readFile(mount.logPath, 'utf8')).match(/not handed over/g);
    t.equal(told?.length, 3, 'its log tells of each');
    mount = await replaced(t, cluster, mount);
    t.equal(
      await tries('flock', join(other.mountPoint, 'file')),
      'EAGAIN',
      'it can be taken over all the same',
    );
  });

  await t.test('the guard of a mount goes over', async () => {
    await mount.kill9();
    await waitUntil(async () => (await findMount(mountPoint)) === undefined, {
      what: 'the mount is gone',
      deadlineMs: 10_000,
    });
  });
});

t.test('a mount of a directory stays a mount of that directory', LONG, async t => {
  const cluster = await startCluster(t, { dataNodes: 1, mounts: 1 });
  const [whole] = cluster.mounts;
  if (!whole) throw new Error('a mount was asked for');
  await shell(`mkdir ${whole.mountPoint}/part && echo within > ${whole.mountPoint}/part/file`);
  const part = await cluster.addMount([], undefined, `${cluster.metadata.address}:/part`);
  await shell(`mv ${whole.mountPoint}/part ${whole.mountPoint}/renamed && mkdir ${whole.mountPoint}/part`);
  await replaced(t, cluster, part);
  t.equal(
    await shell(`cd ${part.mountPoint} && echo on >> file && cat file && stat -c %i .`),
    'within\non\n1',
  );
  t.equal(await shell(`cat ${whole.mountPoint}/renamed/file`), 'within\non');
});

t.test('who may not, or cannot', LONG, async t => {
  const cluster = await startCluster(t, { dataNodes: 1, mounts: 1 });
  const [mount] = cluster.mounts;
  if (!mount) throw new Error('a mount was asked for');
  const { mountPoint } = mount;
  const nothing = await cluster.run('dfs', ['mount', cluster.directory, '--take-over']);
  t.equal(nothing.code, 1);
  t.match(nothing.stderr, /no DFS is mounted at/);
  const both = await cluster.run('dfs', ['mount', cluster.metadata.address, mountPoint, '--take-over']);
  t.equal(both.code, 2);
  const reason = await whyNotOtherUser();
  if (reason === undefined) {
    await shell(`chmod 755 ${cluster.directory}`);
    const dfs = `${process.execPath} ${inSharedClone('bin/dfs')}`;
    const command = `env --unset=NODE_OPTIONS ${AS_OTHER_USER.join(' ')} ${dfs} mount ${mountPoint} --take-over 2>&1`;
    t.match(await shell(`! ${command}`), /mounted by the user with the id 0/, `the user ${OTHER_USER}`);
  }
  const messages = await connected(mountPoint);
  await messages.send(hello(TAKE_OVER_VERSION + 1, '9.9.9'));
  t.match(PredecessorMessage.decode(await messages.receive(STEP_MS)), {
    say: 'refused',
    failure: { code: 'EPROTO', message: /DFS 9\.9\.9 does not know how to take it over/ },
  });
  messages.close();
  t.equal(await shell(`echo here > ${mountPoint}/file && cat ${mountPoint}/file`), 'here');
  t.notMatch(await readFile(mount.logPath, 'utf8'), /takes over/);
});
