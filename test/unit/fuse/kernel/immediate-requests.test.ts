/**
 * Requests that are answered at once (fuse/kernel/immediate-requests.ts): as the ordinary way answers them, and only where a client
 * may decide alone; else nothing has changed.
 */
import { constants } from 'node:fs';
import t from 'tap';
import { DirectoryRequests } from '../../../../src/fuse/kernel/directory-requests.js';
import { FileRequests } from '../../../../src/fuse/kernel/file-requests.js';
import { ImmediateRequests } from '../../../../src/fuse/kernel/immediate-requests.js';
import {
  fuseAttrOut,
  fuseCreateIn,
  fuseEntryOut,
  fuseFlushIn,
  fuseGetattrIn,
  fuseGetxattrIn,
  fuseInHeader,
  fuseLkIn,
  fuseOpenIn,
  fuseOpenOut,
  fuseReadIn,
  fuseReleaseIn,
  fuseWriteIn,
  fuseWriteOut,
} from '../../../../src/fuse/kernel/structs.js';
import {
  decodeHeader,
  Opcode,
  OpenFlag,
  WRITE_KILL_PRIVILEGES,
  WRITE_LOCKOWNER,
} from '../../../../src/fuse/kernel/wire.js';
import { ACCESS_ACL, CAPABILITY } from '../../../../src/protocol/attribute-names.js';
import { ERRNO } from '../../../../src/protocol/errors.js';
import { ROOT_INODE, S_IFREG } from '../../../../src/protocol/file-mode.js';
import { waitUntil } from '../../../support/wait-until.js';
import { refusal } from '../../metadata/support/harness.js';
import { connect, serve } from '../../vfs/support/connected-clients.js';
import { withNames } from './support/fake-device.js';
import { openHarness } from './support/request-harness.js';

const OWNER = { uid: 0, gid: 0 };
const F_WRLCK = 1;
const files = await openHarness(t, (vfs, cache, callers, log) => {
  const fileRequests = new FileRequests(vfs, cache, callers, log);
  const directories = new DirectoryRequests(vfs, cache, callers);
  const immediate = new ImmediateRequests({ fileSystem: vfs, cache, files: fileRequests, directories });
  return { handlers: new Map([...fileRequests.handlers, ...directories.handlers]), immediate };
});
const { vfs } = files;

/** What a request is answered with at once: an errno, or the answer in one piece; undefined when it has to wait. */
function ask(opcode: number, nodeid: number, body: Uint8Array, by = OWNER): Buffer | number | undefined {
  const header = {
    len: fuseInHeader.bytes + body.length,
    opcode,
    unique: 2n,
    nodeid,
    ...by,
    pid: process.pid,
  };
  const bytes = Buffer.concat([fuseInHeader.encode(header), body]);
  const answer = files.requests.immediate.answer(decodeHeader(bytes), bytes);
  return answer === undefined || typeof answer === 'number' ? answer : Buffer.concat(answer);
}

function answered(answer: Buffer | number | undefined): Buffer {
  if (!Buffer.isBuffer(answer)) throw new Error(`it was answered with ${answer}`);
  return answer;
}

const lookup = (directory: number, name: string) =>
  ask(Opcode.lookup, directory, withNames(Buffer.alloc(0), name));
const create = (directory: number, name: string, by = OWNER) => {
  const flags = constants.O_RDWR | constants.O_CREAT;
  return ask(Opcode.create, directory, withNames(fuseCreateIn.encode({ flags, mode: 0o644 }), name), by);
};
const getxattr = (inode: number, name: Buffer) =>
  ask(Opcode.getxattr, inode, withNames(fuseGetxattrIn.encode({ size: 0 }), name.toString('latin1')));
const writeOf = (fh: number, data: string, more = {}) =>
  Buffer.concat([fuseWriteIn.encode({ fh, offset: 0, size: data.length, ...more }), Buffer.from(data)]);
const write = (inode: number, fh: number, data: string, more = {}) =>
  ask(Opcode.write, inode, writeOf(fh, data, more));
const flush = (inode: number, fh: number) =>
  ask(Opcode.flush, inode, fuseFlushIn.encode({ fh, lockOwner: 7n }));

/** A directory that the client has to itself. */
async function ownDirectory(name: string): Promise<number> {
  await vfs.keepCaches({ drop: async () => undefined, dropAll: async () => undefined });
  const { inode } = await vfs.mkdir(ROOT_INODE, Buffer.from(name), { mode: 0o755, ...OWNER });
  await waitUntil(() => vfs.hasToItself(inode), { what: 'the client has the directory to itself' });
  // Until the first file is stored, no close is acknowledged before its bytes are.
  const first = await vfs.create(
    inode,
    Buffer.from('first'),
    { mode: 0o644, ...OWNER },
    true,
    constants.O_RDWR,
  );
  await vfs.write(first.handle, 0, Buffer.from('first'));
  await vfs.fsync(first.handle);
  await vfs.release(first.handle);
  return inode;
}

t.test('a client that may keep nothing answers nothing at once, and nothing changes', async t => {
  const alone = await connect(t, await serve(t));
  const { immediate } = alone;
  const creation = { mode: 0o644, ...OWNER };
  const name = Buffer.from('new');
  t.equal(immediate.create(ROOT_INODE, name, creation, constants.O_RDWR, undefined), undefined);
  t.equal(await refusal(alone.lookup(ROOT_INODE, name)), 'ENOENT');
  t.equal(immediate.lookup(ROOT_INODE, name), undefined);
  t.equal(immediate.getattr(ROOT_INODE), undefined);
  t.equal(immediate.lacksXattr(ROOT_INODE, ACCESS_ACL), false);
});

t.test('other requests have to wait', async t => {
  t.equal(ask(Opcode.readlink, ROOT_INODE, Buffer.alloc(0)), undefined);
});

t.test('a small file in an own directory is made by requests that are all answered at once', async t => {
  const directory = await ownDirectory('own');
  t.equal(lookup(directory, 'file'), ERRNO.ENOENT);
  const made = answered(create(directory, 'file'));
  const { nodeid: inode } = fuseEntryOut.view(made, 0);
  const { fh } = fuseOpenOut.view(made, fuseEntryOut.bytes);
  t.equal(fuseEntryOut.view(answered(lookup(directory, 'file')), 0).nodeid, inode);
  t.equal(getxattr(inode, CAPABILITY), ERRNO.ENODATA);
  t.equal(getxattr(inode, ACCESS_ACL), ERRNO.ENODATA);
  t.equal(getxattr(inode, Buffer.from('security.selinux')), ERRNO.EOPNOTSUPP, 'as the ordinary way says');
  t.equal(fuseWriteOut.view(answered(write(inode, fh, 'content')), 0).size, 7);
  const { attr } = fuseAttrOut.view(answered(ask(Opcode.getattr, inode, fuseGetattrIn.encode({}))), 0);
  t.match(attr, { ino: inode, size: 7, mode: S_IFREG | 0o644 }, 'with what is not committed');
  t.same(flush(inode, fh), Buffer.alloc(0));
  t.same(ask(Opcode.release, inode, fuseReleaseIn.encode({ fh })), Buffer.alloc(0));
  const handle = await vfs.open(inode, constants.O_RDONLY);
  t.equal(Buffer.concat(await vfs.read(handle, 0, 100)).toString(), 'content');
  await vfs.release(handle);
  t.equal((await vfs.lookup(directory, Buffer.from('file'))).inode, inode);
});

t.test('what an ordinary user may not do is left to the ordinary way', async t => {
  const directory = await ownDirectory('root only');
  t.equal(create(directory, 'file', { uid: 1000, gid: 1000 }), undefined);
  t.equal(await refusal(vfs.lookup(directory, Buffer.from('file'))), 'ENOENT');
  t.equal(create(directory, 'first'), undefined, 'as is a file that is there');
  t.equal(lookup(directory, '..'), undefined);
});

t.test('writes that need more than the buffer are left to the ordinary way', async t => {
  const directory = await ownDirectory('writes');
  const made = answered(create(directory, 'file'));
  const { nodeid: inode } = fuseEntryOut.view(made, 0);
  const { fh } = fuseOpenOut.view(made, fuseEntryOut.bytes);
  t.equal(write(inode, fh, 'x', { writeFlags: WRITE_KILL_PRIVILEGES }), undefined, 'by an ordinary user');
  t.equal((await vfs.getattr(inode)).size, 0, 'nothing was written');
  t.ok(answered(write(inode, fh, 'not appended')));
  t.equal(write(inode, fh, 'x', { flags: constants.O_APPEND }), undefined, 'appending behind other writes');
  t.equal((await vfs.getattr(inode)).size, 12, 'nothing was written');
  const reading = await vfs.open(inode, constants.O_RDONLY);
  t.throws(() => write(inode, reading, 'x'), { code: 'EBADF' });
  t.throws(() => write(inode, 0x7fff, 'x'), { code: 'EBADF' });
  await vfs.release(reading);
  await vfs.release(fh);
});

const direct = { writeFlags: WRITE_LOCKOWNER };

t.test('appends are answered at once, by a handle with pages or without', async t => {
  const directory = await ownDirectory('appends');
  files.cache.mayBypassPages = true;
  const made = answered(create(directory, 'file'));
  const { nodeid: inode } = fuseEntryOut.view(made, 0);
  const { fh } = fuseOpenOut.view(made, fuseEntryOut.bytes);
  const flags = constants.O_APPEND;
  t.ok(answered(write(inode, fh, 'one ', { flags })));
  t.ok(answered(write(inode, fh, 'two ', { flags })), 'at the end, wherever the kernel takes that to be');
  const body = fuseOpenIn.encode({ flags: constants.O_WRONLY | constants.O_APPEND });
  const log = fuseOpenOut.view(await files.ask(Opcode.open, inode, body), 0);
  t.equal(log.openFlags, OpenFlag.directIo);
  const append = { ...direct, flags };
  t.equal(write(inode, log.fh, 'x', append), undefined, 'the kernel may have pages');
  await files.ask(Opcode.write, inode, writeOf(log.fh, 'three ', append));
  t.equal(write(inode, log.fh, 'x', { flags }), undefined, 'a page that is written back');
  t.equal(
    write(inode, log.fh, 'x', { ...direct, flags: flags | constants.O_DSYNC }),
    undefined,
    'O_DSYNC waits',
  );
  t.equal(fuseWriteOut.view(answered(write(inode, log.fh, 'four', append)), 0).size, 4);
  const capability = Buffer.from('0000000200000000000000000000000000000000', 'hex');
  await vfs.setxattr(inode, CAPABILITY, capability, 0);
  t.equal(write(inode, log.fh, 'x', append), undefined, 'capabilities are to be taken');
  t.equal(Buffer.concat(await vfs.read(fh, 0, 100)).toString(), 'one two three four');
  await vfs.release(log.fh);
  await vfs.release(fh);
});

t.test('the close of a file with locks waits for them to be given back', async t => {
  const directory = await ownDirectory('locks');
  const made = answered(create(directory, 'file'));
  const { nodeid: inode } = fuseEntryOut.view(made, 0);
  const { fh } = fuseOpenOut.view(made, fuseEntryOut.bytes);
  const body = fuseLkIn.encode({ fh, owner: 7n });
  const { lk } = fuseLkIn.view(body, 0);
  lk.end = 9n;
  lk.type = F_WRLCK;
  await files.ask(Opcode.setlk, inode, body);
  t.equal(flush(inode, fh), undefined);
  await files.ask(Opcode.flush, inode, fuseFlushIn.encode({ fh, lockOwner: 7n }));
  t.same(flush(inode, fh), Buffer.alloc(0));
  await vfs.release(fh);
});

t.test('a directory is read at once when its names are there, as it is read in the ordinary way', async t => {
  const { inode } = await vfs.mkdir(ROOT_INODE, Buffer.from('listed'), { mode: 0o755, ...OWNER });
  for (let index = 0; index < 40; index += 1)
    await vfs.mkdir(inode, Buffer.from(`d${index}`), { mode: 0o755, ...OWNER });
  const { fh } = fuseOpenOut.view(answered(ask(Opcode.opendir, inode, fuseOpenIn.encode({}))), 0);
  const read = (offset: number) => fuseReadIn.encode({ fh, offset, size: 1 << 16 });
  for (const opcode of [Opcode.readdirplus, Opcode.readdir]) {
    const later = await files.ask(opcode, inode, read(0));
    const behind = opcode === Opcode.readdir ? 2 : 0;
    const now = answered(ask(opcode, inode, read(behind)));
    t.ok(later.length > 40 * 24 && now.length > 40 * 24);
    t.ok(later.includes('d39') && now.includes('d39'));
  }
  t.equal(answered(ask(Opcode.readdir, inode, read(42))).length, 0, 'it ends there');
  t.equal(answered(ask(Opcode.releasedir, inode, fuseReleaseIn.encode({ fh }))).length, 0);
  t.equal(ask(Opcode.readdir, inode, read(42)), undefined, 'the handle is gone');
  // What another user may read is not known until the server has said so.
  const other = { uid: 65_534, gid: 65_534 };
  const theirs = fuseOpenOut.view(answered(ask(Opcode.opendir, inode, fuseOpenIn.encode({}), other)), 0).fh;
  const asks = fuseReadIn.encode({ fh: theirs, offset: 0, size: 1 << 16 });
  t.equal(ask(Opcode.readdirplus, inode, asks, other), undefined);
});
