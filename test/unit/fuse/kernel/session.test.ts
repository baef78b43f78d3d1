/** The driver's side of the conversation with the kernel, on a pair of sockets in the place of /dev/fuse. */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import {
  fuseAttrOut,
  fuseBatchForgetIn,
  fuseCreateIn,
  fuseDirent,
  fuseEntryOut,
  fuseForgetIn,
  fuseForgetOne,
  fuseGetattrIn,
  fuseGetxattrIn,
  fuseInitOut,
  fuseInterruptIn,
  fuseLinkIn,
  fuseLkIn,
  fuseMkdirIn,
  fuseMknodIn,
  fuseNotifyInvalEntryOut,
  fuseNotifyInvalInodeOut,
  fuseOpenIn,
  fuseOpenOut,
  fuseReadIn,
  fuseReleaseIn,
  fuseRename2In,
  fuseSetattrIn,
  fuseSetxattrIn,
  fuseStatfsOut,
} from '../../../../src/fuse/kernel/structs.js';
import { InitFlag, InitFlag2, Opcode, SetattrValid } from '../../../../src/fuse/kernel/wire.js';
import { ROOT_INODE, S_IFDIR, S_IFIFO, S_IFREG } from '../../../../src/protocol/file-mode.js';
import { connect, serve } from '../../vfs/support/connected-clients.js';
import { FakeDevice, withNames, type Answer, type Notification } from './support/fake-device.js';

const NOTIFY_INVAL_INODE = 2;
const NOTIFY_INVAL_ENTRY = 3;
const NOTIFY_INC_EPOCH = 8;
const F_WRLCK = 1;
const F_UNLCK = 2;

/** A mount of a real file system, whose kernel the test is. */
async function mounted(t: Test) {
  const server = await serve(t);
  const vfs = await connect(t, server);
  const { device } = await FakeDevice.mount(t, vfs);
  t.equal((await device.init()).code, 'OK');
  return { server, vfs, device };
}

const inodeOf = ({ body }: Answer): number => fuseEntryOut.view(body, 0).nodeid;

/** Whether a notification is about an inode's attributes or pages. */
function isOf(inode: number): (told: Notification) => boolean {
  return ({ code, body }) =>
    code === NOTIFY_INVAL_INODE && fuseNotifyInvalInodeOut.view(body, 0).ino === inode;
}

async function mkdir(device: FakeDevice, name: string, parent = ROOT_INODE): Promise<number> {
  const answer = await device.ask(Opcode.mkdir, parent, withNames(fuseMkdirIn.encode({ mode: 0o755 }), name));
  return inodeOf(answer);
}

async function create(device: FakeDevice, name: string) {
  const request = fuseCreateIn.encode({ flags: constants.O_RDWR, mode: 0o644 });
  const { code, body } = await device.ask(Opcode.create, ROOT_INODE, withNames(request, name));
  const { fh } = code === 'OK' ? fuseOpenOut.view(body, fuseEntryOut.bytes) : { fh: 0 };
  return { code, fh, inode: inodeOf({ code, body }) };
}

t.test('INIT takes what both sides know, and tells the largest request', async t => {
  const { device } = await FakeDevice.mount(t, await connect(t, await serve(t)));
  const out = fuseInitOut.view((await device.init()).body, 0);
  t.match(out, { major: 7, maxWrite: 1 << 20, maxPages: 256, timeGran: 1 });
  t.ok((out.flags & InitFlag.posixAcl) !== 0 && (out.flags & InitFlag.setxattrExtended) !== 0);
  t.equal(out.flags & (1 << 16), 0, 'FUSE_WRITEBACK_CACHE is not taken');
  t.equal(out.flags2, InitFlag2.directIoMaps);
});

t.test('INIT of an old kernel has no second flags, and of a too old one is EPROTO', async t => {
  const { device } = await FakeDevice.mount(t, await connect(t, await serve(t)));
  t.equal((await device.init(InitFlag.asyncRead, 30)).code, 'EPROTO');
  t.equal((await device.init(InitFlag.asyncRead, 31, 8)).code, 'EPROTO');
  const out = fuseInitOut.view((await device.init(InitFlag.asyncRead, 31)).body, 0);
  t.match(out, { flags: InitFlag.asyncRead, flags2: 0 });
});

t.test('what is no request harms no other one', async t => {
  const { device } = await mounted(t);
  device.sendBytes(Buffer.from('short'));
  device.sendBytes(Buffer.alloc(39, 0xff));
  t.equal(
    (await device.ask(Opcode.getattr, ROOT_INODE, Buffer.alloc(3))).code,
    'EINVAL',
    'a short structure',
  );
  t.equal((await device.ask(Opcode.rename, ROOT_INODE)).code, 'EINVAL');
  t.equal((await device.ask(Opcode.forget, ROOT_INODE)).code, 'EINVAL');
  t.equal((await device.ask(4095, ROOT_INODE)).code, 'ENOSYS');
  t.equal((await device.ask(Opcode.ioctl, ROOT_INODE)).code, 'ENOTTY');
  t.equal((await device.ask(Opcode.getattr, ROOT_INODE, fuseGetattrIn.encode({}))).code, 'OK');
});

t.test('names: made, looked up, linked, renamed and removed', async t => {
  const { device } = await mounted(t);
  const directory = await mkdir(device, 'd');
  t.equal(
    (await device.ask(Opcode.mkdir, ROOT_INODE, withNames(fuseMkdirIn.encode({ mode: 0o755 }), 'd'))).code,
    'EEXIST',
  );
  const made = await create(device, 'f');
  const looked = fuseEntryOut.view((await device.ask(Opcode.lookup, ROOT_INODE, Buffer.from('f\0'))).body, 0);
  t.equal(looked.nodeid, made.inode);
  t.match(looked.attr, { ino: made.inode, mode: S_IFREG | 0o644, nlink: 1, blksize: 1 << 20 });
  const link = withNames(fuseLinkIn.encode({ oldnodeid: made.inode }), 'second');
  t.equal(fuseEntryOut.view((await device.ask(Opcode.link, ROOT_INODE, link)).body, 0).attr.nlink, 2);
  const rename = withNames(fuseRename2In.encode({ newdir: directory, flags: 1 }), 'second', 'third');
  t.equal((await device.ask(Opcode.rename2, ROOT_INODE, rename)).code, 'OK');
  t.equal((await device.ask(Opcode.rename2, ROOT_INODE, rename)).code, 'ENOENT');
  t.equal((await device.ask(Opcode.rmdir, ROOT_INODE, Buffer.from('d\0'))).code, 'ENOTEMPTY');
  t.equal((await device.ask(Opcode.unlink, directory, Buffer.from('third\0'))).code, 'OK');
  t.equal((await device.ask(Opcode.rmdir, ROOT_INODE, Buffer.from('d\0'))).code, 'OK');
  t.equal(
    inodeOf(await device.ask(Opcode.lookup, ROOT_INODE, Buffer.from('d\0'))),
    0,
    'a name that leads nowhere may be kept',
  );
});

t.test('links, FIFOs and extended attributes', async t => {
  const { device } = await mounted(t);
  const link = inodeOf(await device.ask(Opcode.symlink, ROOT_INODE, Buffer.from('l\0target\0')));
  t.equal((await device.ask(Opcode.readlink, link)).body.toString(), 'target');
  const mknod = withNames(fuseMknodIn.encode({ mode: S_IFIFO | 0o666, umask: 0o022 }), 'p');
  const made = fuseEntryOut.view((await device.ask(Opcode.mknod, ROOT_INODE, mknod)).body, 0);
  t.equal(made.attr.mode, S_IFIFO | 0o644);
  const value = Buffer.from('blue');
  const set = Buffer.concat([withNames(fuseSetxattrIn.encode({ size: 4 }), 'user.colour'), value]);
  const directory = await mkdir(device, 'd');
  t.equal((await device.ask(Opcode.setxattr, directory, set)).code, 'OK');
  const get = (size: number): Buffer => withNames(fuseGetxattrIn.encode({ size }), 'user.colour');
  t.same((await device.ask(Opcode.getxattr, directory, get(10))).body, value);
  t.equal((await device.ask(Opcode.getxattr, directory, get(0))).body.readUInt32LE(0), 4, 'its size');
  t.equal((await device.ask(Opcode.getxattr, directory, get(3))).code, 'ERANGE');
  const list = await device.ask(Opcode.listxattr, directory, fuseGetxattrIn.encode({ size: 100 }));
  t.equal(list.body.toString(), 'user.colour\0');
});

t.test('attributes are changed as the request’s valid bits say', async t => {
  const { device } = await mounted(t);
  const { inode } = await create(device, 'f');
  const { mode, mtime, atimeNow } = SetattrValid;
  const request = fuseSetattrIn.encode({
    valid: mode | mtime | atimeNow,
    mode: S_IFREG | 0o600,
    mtime: -5,
    mtimensec: 7,
    uid: 99,
  });
  const { attr } = fuseAttrOut.view((await device.ask(Opcode.setattr, inode, request)).body, 0);
  t.match(attr, { mode: S_IFREG | 0o600, mtime: -5, mtimensec: 7, uid: 0 });
  t.ok(attr.atime > 1_600_000_000);
  const huge = fuseSetattrIn.encode({ valid: SetattrValid.size, size: 2 ** 53 });
  t.equal((await device.ask(Opcode.setattr, inode, huge)).code, 'EFBIG');
});

t.test('a directory is read by its handle, with attributes and without', async t => {
  const { device } = await mounted(t);
  for (const name of ['a', 'bb', 'ccc']) await mkdir(device, name);
  const opened = await device.ask(Opcode.opendir, ROOT_INODE, fuseOpenIn.encode({}));
  const { fh } = fuseOpenOut.view(opened.body, 0);
  const namesIn = (body: Buffer, before: number): string[] => {
    const names: string[] = [];
    for (let at = 0; at < body.length;) {
      const { namelen, type } = fuseDirent.view(body, at + before);
      t.equal(type, S_IFDIR >>> 12);
      const start = at + before + fuseDirent.bytes;
      names.push(body.subarray(start, start + namelen).toString());
      at = Math.ceil((start + namelen) / 8) * 8;
    }
    return names;
  };
  const page = await device.ask(Opcode.readdir, ROOT_INODE, fuseReadIn.encode({ fh, size: 4096 }));
  t.same(namesIn(page.body, 0), ['.', '..', 'a', 'bb', 'ccc']);
  const plus = await device.ask(
    Opcode.readdirplus,
    ROOT_INODE,
    fuseReadIn.encode({ fh, offset: 3, size: 4096 }),
  );
  t.same(namesIn(plus.body, fuseEntryOut.bytes), ['bb', 'ccc']);
  t.equal(fuseEntryOut.view(plus.body, 0).attr.nlink, 2);
  t.equal((await device.ask(Opcode.releasedir, ROOT_INODE, fuseReleaseIn.encode({ fh }))).code, 'OK');
  const gone = fuseReadIn.encode({ fh, size: 4096 });
  t.equal((await device.ask(Opcode.readdir, ROOT_INODE, gone)).code, 'EBADF');
});

t.test('statfs tells names of 255 bytes, and free inodes', async t => {
  const { device } = await mounted(t);
  const { st } = fuseStatfsOut.view((await device.ask(Opcode.statfs, ROOT_INODE)).body, 0);
  t.match(st, { namelen: 255, bsize: 4096, frsize: 4096 });
  t.ok(st.files > st.ffree && st.ffree > 0);
});

t.test(
  'a program that waits for a lock is interrupted; a request that is not known is to be told again',
  async t => {
    const { device } = await mounted(t);
    const { inode, fh } = await create(device, 'f');
    const lock = (owner: bigint, type: number): Buffer => {
      const bytes = fuseLkIn.encode({ fh, owner });
      Object.assign(fuseLkIn.view(bytes, 0).lk, { start: 0, end: 9n, type, pid: 1 });
      return bytes;
    };
    t.equal((await device.ask(Opcode.setlk, inode, lock(1n, F_WRLCK))).code, 'OK');
    t.equal((await device.ask(Opcode.setlk, inode, lock(2n, F_WRLCK))).code, 'EAGAIN');
    const waiting = device.begin(Opcode.setlkw, inode, lock(2n, F_WRLCK));
    const found = await device.ask(Opcode.getlk, inode, lock(2n, F_WRLCK));
    t.equal(found.body.readUInt32LE(16), F_WRLCK, 'the lock that stands in the way');
    device.send(
      Opcode.interrupt,
      0,
      fuseInterruptIn.encode({ unique: waiting.unique }),
      {},
      waiting.unique | 1n,
    );
    t.equal((await waiting.answer).code, 'EINTR');
    const unknown = device.begin(Opcode.interrupt, 0, fuseInterruptIn.encode({ unique: 9999n }));
    t.equal((await unknown.answer).code, 'EAGAIN');
    const later = device.begin(Opcode.setlkw, inode, lock(2n, F_WRLCK));
    t.equal((await device.ask(Opcode.setlk, inode, lock(1n, F_UNLCK))).code, 'OK');
    t.equal((await later.answer).code, 'OK', 'others go on to wait');
  },
);

t.test('another client’s change is told to the kernel before it is answered', async t => {
  const { server, device } = await mounted(t);
  const other = await connect(t, server);
  const directory = await mkdir(device, 'd');
  const lookup = await device.ask(Opcode.lookup, directory, Buffer.from('new\0'));
  t.ok(fuseEntryOut.view(lookup.body, 0).entryValid > 0, 'the kernel may keep that there is no such name');
  await device.ask(Opcode.getattr, directory, fuseGetattrIn.encode({}));
  await other.mkdir(directory, Buffer.from('new'), { mode: 0o755, uid: 0, gid: 0 });
  const attributes = await device.notification(isOf(directory));
  t.equal(fuseNotifyInvalInodeOut.view(attributes.body, 0).off, -1, 'the attributes alone');
  const names = await device.notification(
    ({ code, body }) =>
      code === NOTIFY_INC_EPOCH ||
      (code === NOTIFY_INVAL_ENTRY && fuseNotifyInvalEntryOut.view(body, 0).parent === directory),
  );
  if (names.code === NOTIFY_INVAL_ENTRY) {
    t.match(fuseNotifyInvalEntryOut.view(names.body, 0), { parent: directory, namelen: 3 });
    t.equal(names.body.subarray(fuseNotifyInvalEntryOut.bytes).toString(), 'new\0');
  }
});

t.test('what the kernel has forgotten is not invalidated', async t => {
  const { server, device } = await mounted(t);
  const other = await connect(t, server);
  const [kept, one, two] = [
    await mkdir(device, 'kept'),
    await mkdir(device, 'one'),
    await mkdir(device, 'two'),
  ];
  device.send(Opcode.forget, one, fuseForgetIn.encode({ nlookup: 1 }));
  const batch = [fuseBatchForgetIn.encode({ count: 1 }), fuseForgetOne.encode({ nodeid: two, nlookup: 1 })];
  device.send(Opcode.batchForget, 0, Buffer.concat(batch));
  for (const inode of [one, two, kept]) {
    await device.ask(Opcode.getattr, kept, fuseGetattrIn.encode({}));
    await other.setattr(inode, { mode: 0o700 });
  }
  await device.notification(isOf(kept));
  t.notOk(device.told.some(told => isOf(one)(told) || isOf(two)(told)));
});
