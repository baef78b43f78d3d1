/** The requests by file handle (fuse/kernel/file-requests.ts), on a real file system with a data node. */
import { constants } from 'node:fs';
import t from 'tap';
import { FileRequests } from '../../../../src/fuse/kernel/file-requests.js';
import {
  fuseCopyFileRangeIn,
  fuseFallocateIn,
  fuseFlushIn,
  fuseFsyncIn,
  fuseLkIn,
  fuseLseekIn,
  fuseLseekOut,
  fuseOpenIn,
  fuseOpenOut,
  fuseReadIn,
  fuseReleaseIn,
  fuseWriteIn,
  fuseWriteOut,
} from '../../../../src/fuse/kernel/structs.js';
import {
  Opcode,
  OpenFlag,
  WRITE_KILL_PRIVILEGES,
  WRITE_LOCKOWNER,
} from '../../../../src/fuse/kernel/wire.js';
import { CAPABILITY } from '../../../../src/protocol/attribute-names.js';
import { waitUntil } from '../../../support/wait-until.js';
import { ordinaryProcess, WHY_NO_ORDINARY_PROCESS } from './support/ordinary-process.js';
import { openHarness } from './support/request-harness.js';

/** A process that is gone, so that nothing is known of it but what the request says. */
const NOBODY = { uid: 65_534, gid: 65_534, pid: 0x7fff_fffe };
const FLAGS_OF_WRITE = { lockOwner: 3n };
const BEYOND = Buffer.from('ffffffffffffff7f', 'hex');

/** One file system for all tests; each has files of its own. */
const times = { entryTimeoutMs: 0, attrTimeoutMs: 1000, negativeTimeoutMs: 0 };
const files = await openHarness(t, (...parts) => new FileRequests(...parts), times);
let created = 0;

async function create(mode?: number): Promise<{ readonly inode: number; readonly handle: number }> {
  created += 1;
  return await files.create(`file ${created}`, mode);
}

function writeIn(fh: number, offset: number, data: string, more: object = {}): Buffer {
  const size = Buffer.byteLength(data);
  return Buffer.concat([
    fuseWriteIn.encode({ fh, offset, size, ...FLAGS_OF_WRITE, ...more }),
    Buffer.from(data),
  ]);
}

async function write(inode: number, body: Buffer, by = {}): Promise<number> {
  return fuseWriteOut.view(await files.ask(Opcode.write, inode, body, by), 0).size;
}

async function read(inode: number, fh: number, size = 100, offset = 0): Promise<string> {
  return (await files.ask(Opcode.read, inode, fuseReadIn.encode({ fh, offset, size }))).toString('latin1');
}

t.test('what is written is read, up to the end of the file', async t => {
  const { inode, handle } = await create();
  t.equal(await write(inode, writeIn(handle, 0, 'hello world')), 11);
  t.equal(await write(inode, writeIn(handle, 6, 'there')), 5);
  t.equal(await read(inode, handle), 'hello there');
  t.equal(await read(inode, handle, 3, 6), 'the');
  t.equal(await read(inode, handle, 10, 11), '', 'at the end');
});

t.test('a write by O_APPEND goes to the end, wherever the kernel takes that to be', async t => {
  const { inode, handle } = await create();
  await write(inode, writeIn(handle, 0, 'one'));
  await write(inode, writeIn(handle, 0, 'two', { flags: constants.O_APPEND }));
  t.equal(await read(inode, handle), 'onetwo');
  // A page that is written back late.
  await write(inode, writeIn(handle, 0, 'ONE', { flags: 0 }));
  t.equal(await read(inode, handle), 'ONEtwo');
});

t.test('a write whose data are torn off counts for as much as came', async t => {
  const { inode, handle } = await create();
  const whole = writeIn(handle, 0, 'hello');
  t.equal(await write(inode, whole.subarray(0, whole.length - 2)), 3);
  t.equal(await read(inode, handle), 'hel');
  t.equal(
    await write(inode, Buffer.concat([whole, Buffer.from('more')])),
    5,
    'and what comes after is none of it',
  );
  t.equal(await read(inode, handle), 'hello');
});

t.test('places that no file reaches are EFBIG, and nothing is written', async t => {
  const { inode, handle } = await create();
  const body = writeIn(handle, 0, 'x');
  BEYOND.copy(body, 8);
  await t.rejects(write(inode, body), { code: 'EFBIG' });
  t.equal(await read(inode, handle), '');
  const allocate = fuseFallocateIn.encode({ fh: handle, length: 1 });
  BEYOND.copy(allocate, 16);
  await t.rejects(files.ask(Opcode.fallocate, inode, allocate), { code: 'EFBIG' });
});

t.test('a handle that is not open is EBADF in every request but RELEASE, which nobody waits for', async t => {
  const { inode } = await create();
  const fh = 12_345;
  const lock = fuseLkIn.encode({ fh });
  for (const [opcode, body] of [
    [Opcode.read, fuseReadIn.encode({ fh, size: 1 })],
    [Opcode.write, writeIn(fh, 0, 'x')],
    [Opcode.lseek, fuseLseekIn.encode({ fh, whence: 3 })],
    [Opcode.fallocate, fuseFallocateIn.encode({ fh, length: 1 })],
    [Opcode.flush, fuseFlushIn.encode({ fh })],
    [Opcode.fsync, fuseFsyncIn.encode({ fh })],
    [Opcode.getlk, lock],
    [Opcode.setlk, lock],
    [Opcode.copyFileRange, fuseCopyFileRangeIn.encode({ fhIn: fh, fhOut: fh, nodeidOut: inode, len: 1 })],
  ] as const) {
    await t.rejects(files.ask(opcode, inode, body), { code: 'EBADF' }, `request ${opcode}`);
  }
  t.equal((await files.ask(Opcode.release, inode, fuseReleaseIn.encode({ fh }))).length, 0);
  const isLogged = (): boolean => files.lines.some(({ msg }) => msg.includes('not given back in order'));
  await waitUntil(isLogged, { deadlineMs: 5000, what: 'the log says so' });
});

t.test('every torn structure is EINVAL', async t => {
  const { inode } = await create();
  for (const opcode of files.requests.handlers.keys()) {
    await t.rejects(files.ask(opcode, inode, Buffer.alloc(7)), { code: 'EINVAL' }, `request ${opcode}`);
  }
});

t.test('OPEN of a file that is gone is ESTALE, so that the kernel walks the path anew', async t => {
  const open = fuseOpenIn.encode({ flags: constants.O_RDONLY });
  await t.rejects(files.ask(Opcode.open, 2 ** 40, open), { code: 'ESTALE' });
  const { inode, handle } = await create();
  const { fh } = fuseOpenOut.view(await files.ask(Opcode.open, inode, open), 0);
  t.not(fh, handle, 'one that is there gets a handle of its own');
});

t.test('OPEN is refused to a user who may not read', { skip: WHY_NO_ORDINARY_PROCESS }, async t => {
  const [secret, shared] = [await create(0o600), await create()];
  const open = fuseOpenIn.encode({ flags: constants.O_RDONLY });
  const user = await ordinaryProcess(t);
  await t.rejects(files.ask(Opcode.open, secret.inode, open, user), { code: 'EACCES' });
  t.equal((await files.ask(Opcode.open, shared.inode, open, user)).length, fuseOpenOut.bytes);
});

t.test('lseek finds data and holes; other kinds are EINVAL, and a negative place is ENXIO', async t => {
  const { inode, handle: fh } = await create();
  await write(inode, writeIn(fh, 1 << 20, 'data'));
  const seek = async (whence: number, offset: number): Promise<number> =>
    fuseLseekOut.view(await files.ask(Opcode.lseek, inode, fuseLseekIn.encode({ fh, offset, whence })), 0)
      .offset;
  t.equal(await seek(3, 0), 1 << 20);
  t.equal(await seek(4, 0), 0);
  t.equal(await seek(4, 1 << 20), (1 << 20) + 4);
  await t.rejects(seek(3, (1 << 20) + 4), { code: 'ENXIO' });
  for (const whence of [0, 1, 2, 5]) await t.rejects(seek(whence, 0), { code: 'EINVAL' });
  const negative = fuseLseekIn.encode({ fh, whence: 3 });
  negative.writeBigInt64LE(-1n, 8);
  await t.rejects(files.ask(Opcode.lseek, inode, negative), { code: 'ENXIO' });
});

t.test('COPY_FILE_RANGE copies as much as there is; flags that do not exist are EINVAL', async t => {
  const [from, to] = [await create(), await create()];
  const text = 'x'.repeat(200_000);
  await write(from.inode, writeIn(from.handle, 0, text));
  await files.ask(Opcode.fsync, from.inode, fuseFsyncIn.encode({ fh: from.handle }));
  const fields = { fhIn: from.handle, fhOut: to.handle, nodeidOut: to.inode, offIn: 10, offOut: 5 };
  // More than an answer can count.
  const copy = fuseCopyFileRangeIn.encode({ ...fields, len: 2 ** 40 });
  t.equal(fuseWriteOut.view(await files.ask(Opcode.copyFileRange, from.inode, copy), 0).size, 199_990);
  t.equal(await read(to.inode, to.handle, 7), '\0\0\0\0\0xx');
  for (const flags of [1n, 2n ** 32n, 2n ** 63n]) {
    const odd = fuseCopyFileRangeIn.encode({ ...fields, len: 1, flags });
    await t.rejects(
      files.ask(Opcode.copyFileRange, from.inode, odd),
      { code: 'EINVAL' },
      `0x${flags.toString(16)}`,
    );
  }
});

t.test('FALLOCATE by an ordinary user takes setuid away, and the kernel is made to see that', async t => {
  const { inode, handle } = await create(0o4755);
  const body = fuseFallocateIn.encode({ fh: handle, length: 10 });
  await files.ask(Opcode.fallocate, inode, body);
  t.equal((await files.vfs.getattr(inode)).mode & 0o7777, 0o4755, 'not by root');
  await files.ask(Opcode.fallocate, inode, body, NOBODY);
  t.match(await files.vfs.getattr(inode), { mode: 0o100755, size: 10 });
  t.same(files.toldOf(inode), ['attributes']);
});

t.test('a write takes setuid away when the kernel says so, and only then', async t => {
  const { inode, handle } = await create(0o4755);
  await write(inode, writeIn(handle, 0, 'x'), NOBODY);
  t.equal((await files.vfs.getattr(inode)).mode & 0o7777, 0o4755);
  await write(inode, writeIn(handle, 0, 'x', { writeFlags: WRITE_KILL_PRIVILEGES }), NOBODY);
  t.equal((await files.vfs.getattr(inode)).mode & 0o7777, 0o755);
  t.same(files.toldOf(inode), ['attributes']);
});

t.test('a write past the kernel’s pages is answered when those are gone', async t => {
  const { inode, handle } = await create();
  await write(inode, writeIn(handle, 0, 'through pages'));
  t.same(files.toldOf(inode), [], 'its pages are the kernel’s own');
  await write(inode, writeIn(handle, 0, 'DIRECT', { writeFlags: WRITE_LOCKOWNER }));
  t.same(files.toldOf(inode), ['pages']);
});

t.test(
  'by a handle without pages a write takes the file’s capabilities, as the kernel does by itself elsewhere',
  async t => {
    files.cache.mayBypassPages = true;
    const { inode, handle } = await create();
    const capability = Buffer.from('0000000200000000000000000000000000000000', 'hex');
    const open = fuseOpenIn.encode({ flags: constants.O_WRONLY | constants.O_APPEND });
    const { fh, openFlags } = fuseOpenOut.view(await files.ask(Opcode.open, inode, open), 0);
    t.equal(openFlags, OpenFlag.directIo);
    await files.vfs.setxattr(inode, CAPABILITY, capability, 0);
    await write(inode, writeIn(handle, 0, 'x'));
    t.same(await files.vfs.getxattr(inode, CAPABILITY), capability, 'with pages the kernel asks for that');
    await write(inode, writeIn(fh, 0, 'x', { writeFlags: WRITE_LOCKOWNER }));
    await t.rejects(files.vfs.getxattr(inode, CAPABILITY), { code: 'ENODATA' });
    t.equal(await write(inode, writeIn(fh, 0, 'y')), 1, 'without any it is written all the same');
  },
);

t.test(
  'by a handle without pages O_SYNC and O_DSYNC are obeyed here, and elsewhere by the kernel',
  async t => {
    files.cache.mayBypassPages = true;
    const { inode, handle } = await create();
    const open = fuseOpenIn.encode({ flags: constants.O_WRONLY | constants.O_APPEND | constants.O_DSYNC });
    const { fh } = fuseOpenOut.view(await files.ask(Opcode.open, inode, open), 0);
    const fsync = files.vfs.fsync.bind(files.vfs);
    const synced = t.capture(files.vfs, 'fsync', fsync);
    await write(inode, writeIn(fh, 0, 'x', { writeFlags: WRITE_LOCKOWNER }));
    t.equal(synced().length, 0);
    for (const flags of [constants.O_DSYNC, constants.O_SYNC]) {
      await write(inode, writeIn(fh, 0, 'x', { writeFlags: WRITE_LOCKOWNER, flags }));
      t.match(synced(), [{ args: [fh] }]);
      await write(inode, writeIn(handle, 0, 'x', { flags }));
      t.equal(synced().length, 0);
    }
  },
);

t.test('who gets a lock has the kernel ask for the file’s attributes anew', async t => {
  const { inode, handle } = await create();
  const lock = fuseLkIn.encode({ fh: handle, owner: 1n });
  Object.assign(fuseLkIn.view(lock, 0).lk, { start: 0, end: 9n, type: 1 });
  await files.ask(Opcode.setlk, inode, lock);
  const got: string[] = [];
  await waitUntil(() => got.push(...files.toldOf(inode)) > 0, {
    deadlineMs: 5000,
    what: 'the kernel is told',
  });
  t.same(got, ['attributes']);
  fuseLkIn.view(lock, 0).lk.type = 2;
  await files.ask(Opcode.setlk, inode, lock);
});

t.test('RELEASE gives the handle back', async t => {
  const { inode, handle } = await create();
  await files.ask(Opcode.release, inode, fuseReleaseIn.encode({ fh: handle }));
  await t.rejects(read(inode, handle), { code: 'EBADF' });
});
