/** One session that stands still, and another one that goes on with the same kernel. */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import type { TakenMount } from '../../../../src/fuse/driver.js';
import type { FuseSession } from '../../../../src/fuse/kernel/session.js';
import {
  fuseCreateIn,
  fuseDirent,
  fuseEntryOut,
  fuseGetattrIn,
  fuseInterruptIn,
  fuseLkIn,
  fuseMkdirIn,
  fuseNotifyInvalInodeOut,
  fuseOpenIn,
  fuseOpenOut,
  fuseReadIn,
  fuseWriteIn,
} from '../../../../src/fuse/kernel/structs.js';
import { Opcode } from '../../../../src/fuse/kernel/wire.js';
import { ROOT_INODE } from '../../../../src/protocol/file-mode.js';
import { PredecessorMessage } from '../../../../src/protocol/take-over.js';
import { tcpNetwork } from '../../../../src/platform/network.js';
import type { Vfs } from '../../../../src/vfs/vfs.js';
import { waitUntil } from '../../../support/wait-until.js';
import { connect, serve, startDataNode } from '../../vfs/support/connected-clients.js';
import { FakeDevice, withNames } from './support/fake-device.js';

const NOTIFY_INVAL_INODE = 2;
const F_WRLCK = 1;
const F_UNLCK = 2;
const PATIENCE_MS = 5000;

async function mounted(t: Test) {
  const server = await serve(t);
  await startDataNode(t, server);
  const vfs = await connect(t, server);
  const { device, session } = await FakeDevice.mount(t, vfs);
  await device.init();
  return { server, vfs, device, session };
}

async function create(device: FakeDevice, name: string) {
  const request = fuseCreateIn.encode({ flags: constants.O_RDWR, mode: 0o644 });
  const { body } = await device.ask(Opcode.create, ROOT_INODE, withNames(request, name));
  return { fh: fuseOpenOut.view(body, fuseEntryOut.bytes).fh, inode: fuseEntryOut.view(body, 0).nodeid };
}

function lockOf(fh: number, owner: bigint, type: number): Buffer {
  const bytes = fuseLkIn.encode({ fh, owner });
  Object.assign(fuseLkIn.view(bytes, 0).lk, { start: 0, end: 9n, type, pid: 1 });
  return bytes;
}

/** Brings everything to a standstill, and returns what a successor gets. */
async function standing(vfs: Vfs, session: FuseSession) {
  await session.withhold();
  await session.pause(PATIENCE_MS);
  let fileSystem: ReturnType<Vfs['handOver']['suspend']>;
  await waitUntil(
    async () => {
      await vfs.handOver.settled();
      return (fileSystem = vfs.handOver.suspend()) !== undefined;
    },
    { what: 'nothing is under way', deadlineMs: PATIENCE_MS },
  );
  const { kernel, inodes } = session.state();
  if (!fileSystem) throw new Error('it waited for that');
  const told = PredecessorMessage.decode(PredecessorMessage.encode({ say: 'state', fileSystem, kernel }));
  if (told.say !== 'state') throw new Error('another message');
  const taken: TakenMount = { kernel: told.kernel, inodes };
  return { fileSystem: told.fileSystem, taken };
}

t.test('files, directories, locks and what waits for one go on with the successor', async t => {
  const { server, vfs, device, session } = await mounted(t);
  const { fh, inode } = await create(device, 'f');
  await device.ask(
    Opcode.write,
    inode,
    Buffer.concat([fuseWriteIn.encode({ fh, size: 3 }), Buffer.from('abc')]),
  );
  for (let index = 0; index < 20; index += 1) {
    const mkdir = withNames(fuseMkdirIn.encode({ mode: 0o755 }), `d${String(index).padStart(2, '0')}`);
    await device.ask(Opcode.mkdir, ROOT_INODE, mkdir);
  }
  const opened = await device.ask(Opcode.opendir, ROOT_INODE, fuseOpenIn.encode({}));
  const directory = fuseOpenOut.view(opened.body, 0).fh;
  const seen: string[] = [];
  const readOn = async (): Promise<void> => {
    const at = seen.length;
    const read = fuseReadIn.encode({ fh: directory, offset: at, size: 200 });
    const { body } = await device.ask(Opcode.readdir, ROOT_INODE, read);
    for (let from = 0; from < body.length;) {
      const { namelen } = fuseDirent.view(body, from);
      const start = from + fuseDirent.bytes;
      seen.push(body.subarray(start, start + namelen).toString());
      from = start + Math.ceil(namelen / 8) * 8;
    }
  };
  await readOn();
  t.ok(seen.length > 2 && seen.length < 20, 'the directory is read in part');
  t.equal((await device.ask(Opcode.setlk, inode, lockOf(fh, 1n, F_WRLCK))).code, 'OK');
  const waiting = device.begin(Opcode.setlkw, inode, lockOf(fh, 2n, F_WRLCK));
  const interrupted = device.begin(Opcode.setlkw, inode, lockOf(fh, 3n, F_WRLCK));
  await device.ask(Opcode.getattr, inode, fuseGetattrIn.encode({}));

  const { fileSystem, taken } = await standing(vfs, session);
  t.equal(taken.kernel.waiting.length, 2);
  // What the kernel asks meanwhile waits.
  const asked = device.begin(Opcode.read, inode, fuseReadIn.encode({ fh, size: 10 }));
  const interrupt = fuseInterruptIn.encode({ unique: interrupted.unique });
  device.send(Opcode.interrupt, 0, interrupt, {}, interrupted.unique | 1n);
  const second = await connect(t, server, tcpNetwork, { taken: fileSystem });
  await vfs.handOver.leave();
  await session.abandon();
  const told = device.told.length;
  await device.takeOver(second, taken).beginKeeping();

  t.equal((await asked.answer).body.toString(), 'abc');
  t.equal((await interrupted.answer).code, 'EINTR', 'a signal reaches a request that went over');
  t.equal((await device.ask(Opcode.setlk, inode, lockOf(fh, 1n, F_UNLCK))).code, 'OK');
  t.equal((await waiting.answer).code, 'OK', 'the one that waited has the lock');
  // A name that is read already goes: the others are told once all the same.
  await device.ask(Opcode.rmdir, ROOT_INODE, Buffer.from('d00\0'));
  for (let before = -1; before < seen.length;) {
    before = seen.length;
    await readOn();
  }
  t.equal(seen.length, 23);
  t.equal(new Set(seen).size, 23);
  const dropped = device.told
    .slice(told)
    .filter(({ code }) => code === NOTIFY_INVAL_INODE)
    .map(({ body }) => fuseNotifyInvalInodeOut.view(body, 0).ino);
  t.ok(dropped.includes(inode), 'what the kernel has from before is dropped when the lease begins');
});

t.test('a session that was not taken over goes on, with what waits for locks', async t => {
  const { vfs, device, session } = await mounted(t);
  const { fh, inode } = await create(device, 'f');
  t.equal((await device.ask(Opcode.setlk, inode, lockOf(fh, 1n, F_WRLCK))).code, 'OK');
  const waiting = device.begin(Opcode.setlkw, inode, lockOf(fh, 2n, F_WRLCK));
  await device.ask(Opcode.getattr, inode, fuseGetattrIn.encode({}));
  await standing(vfs, session);
  const asked = device.begin(Opcode.getattr, inode, fuseGetattrIn.encode({}));
  vfs.handOver.goOn();
  session.resume();
  t.equal((await asked.answer).code, 'OK');
  t.equal((await device.ask(Opcode.setlk, inode, lockOf(fh, 1n, F_UNLCK))).code, 'OK');
  t.equal((await waiting.answer).code, 'OK');
});
