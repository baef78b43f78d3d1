/** What a client acknowledges of a file's content before it tells the metadata server: truncations, and what is written around them. */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { FileHandle } from '../../../src/vfs/file-system.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { waitUntil } from '../../support/wait-until.js';
import { refusal } from '../metadata/support/harness.js';
import { SeededRandom } from '../../simulation/world/seeded-random.js';
import { Cable, connect, PowerCut, startDataNode } from './support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const KEEPER = { drop: async () => undefined, dropAll: async () => undefined };
const SEED = 20_261_129;
const STEPS = 300;
const FILE_BYTES = 3000;
const name = (text: string): Buffer => Buffer.from(text);

async function content(vfs: Vfs, inode: number): Promise<string> {
  const handle = await vfs.open(inode, constants.O_RDONLY);
  const bytes = Buffer.concat(await vfs.read(handle, 0, 1 << 20));
  await vfs.release(handle);
  return bytes.toString('latin1');
}

/** A client on a cable, with an open file of its own that holds some bytes; the server's cable can be pulled. */
async function scene(t: Test) {
  const power = await PowerCut.start(t);
  const { server } = power;
  await startDataNode(t, server);
  const cable = new Cable();
  const vfs = await connect(t, server, cable);
  await vfs.keepCaches(KEEPER);
  const { inode: directory } = await vfs.mkdir(ROOT_INODE, name('own'), OWNER);
  await waitUntil(() => vfs.hasToItself(directory), { what: 'the client has the directory to itself' });
  const { handle, attributes } = await vfs.create(directory, name('file'), OWNER, true, constants.O_RDWR);
  const { inode } = attributes;
  await write(vfs, handle, 'old content');
  await vfs.fsync(handle);
  await vfs.getattr(inode);
  /** Nothing reaches the metadata server any more, and it hears of what was done meanwhile. */
  const cut = (): void => cable.cut(server.endpoint.port);
  return { power, server, cable, cut, vfs, directory, inode, handle };
}

async function write(vfs: Vfs, handle: FileHandle, text: string, offset = 0): Promise<void> {
  await vfs.write(handle, offset, Buffer.from(text, 'latin1'));
}

t.test('a file is truncated without the server, and everybody sees it', async t => {
  const { server, cable, cut, vfs, inode } = await scene(t);
  cut();
  t.equal((await vfs.setattr(inode, { size: 3 })).size, 3, 'shorter');
  t.equal(await content(vfs, inode), 'old');
  t.equal((await vfs.setattr(inode, { size: 5 })).size, 5, 'longer');
  t.equal(await content(vfs, inode), 'old\0\0');
  const told = await vfs.getattr(inode);
  t.equal(told.allocated, 3);
  cable.mend();
  const other = await connect(t, server);
  t.same(await other.getattr(inode), told, 'the server made of it what was told');
  t.equal(await content(other, inode), 'old\0\0');
});

t.test('bytes are overwritten without the server, and everybody sees it', async t => {
  const { server, cable, cut, vfs, inode, handle } = await scene(t);
  cut();
  await write(vfs, handle, 'CON', 4);
  await vfs.flush(handle);
  await write(vfs, handle, 'TENT and more', 7);
  await vfs.flush(handle);
  t.equal((await vfs.getattr(inode)).size, 20);
  t.equal(await content(vfs, inode), 'old CONTENT and more');
  cable.mend();
  const other = await connect(t, server);
  t.equal(await content(other, inode), 'old CONTENT and more');
  const told = await other.getattr(inode);
  t.equal(told.allocated, 20);
  t.same(await vfs.getattr(inode), told, 'the server made of it what was foretold');
});

t.test('O_TRUNC, new content and close wait for nobody', async t => {
  const { server, cable, cut, vfs, inode, handle } = await scene(t);
  await vfs.release(handle);
  cut();
  const again = await vfs.open(inode, constants.O_WRONLY | constants.O_TRUNC);
  t.equal((await vfs.getattr(inode)).size, 0);
  await write(vfs, again, 'new');
  await vfs.flush(again);
  await vfs.release(again);
  t.equal((await vfs.getattr(inode)).size, 3);
  cable.mend();
  const other = await connect(t, server);
  t.equal(await content(other, inode), 'new');
});

t.test('what was written before a truncation does not come back after it', async t => {
  const { server, cable, cut, vfs, inode, handle } = await scene(t);
  cut();
  await write(vfs, handle, 'much longer than before');
  await vfs.setattr(inode, { size: 0 });
  t.equal((await vfs.getattr(inode)).size, 0, 'nothing of it was committed');
  await write(vfs, handle, 'abcdef');
  await vfs.setattr(inode, { size: 4 });
  await write(vfs, handle, 'x', 6);
  t.equal(await content(vfs, inode), 'abcd\0\0x');
  const { mtime } = await vfs.getattr(inode);
  cable.mend();
  await vfs.fsync(handle);
  const other = await connect(t, server);
  t.equal(await content(other, inode), 'abcd\0\0x');
  t.same((await other.getattr(inode)).mtime, mtime);
});

t.test('fsync tells of a truncation that the server lost with its power', async t => {
  const { power, vfs, inode, handle } = await scene(t);
  t.teardown(async () => await refusal(vfs.close()));
  await power.remember();
  await waitUntil(async () => (await vfs.setattr(inode, { mode: 0o700 })) && vfs.hasToItself(inode), {
    what: 'the client has the file to itself',
  });
  await vfs.fsync(handle);
  await power.remember();
  await vfs.setattr(inode, { size: 2 });
  await vfs.resolve([]);
  await power.fail();
  t.equal(await refusal(vfs.fsync(handle)), 'EIO');
  t.equal(await refusal(vfs.fsync(handle)), 'OK', 'told once');
  t.equal(await content(vfs, inode), 'old content');
});

t.test(
  'whatever is written and truncated in whatever order, the server has what the client shows',
  async t => {
    const { server, vfs, inode, handle } = await scene(t);
    const random = new SeededRandom(SEED);
    const below = (limit: number): number => random.integer(0, limit);
    let expected = Buffer.from('old content');
    const resize = (size: number): void => {
      expected = Buffer.concat([
        expected.subarray(0, size),
        Buffer.alloc(Math.max(0, size - expected.length)),
      ]);
    };
    const other = await connect(t, server);
    for (let step = 0; step < STEPS; step += 1) {
      const drawn = below(100);
      if (drawn < 45) {
        const offset = below(FILE_BYTES);
        const bytes = Buffer.alloc(1 + below(400), 1 + (step % 250));
        await vfs.write(handle, offset, bytes);
        resize(Math.max(expected.length, offset + bytes.length));
        bytes.copy(expected, offset);
      } else if (drawn < 75) {
        const size = drawn < 50 ? 0 : below(FILE_BYTES);
        await vfs.setattr(inode, { size });
        resize(size);
      } else if (drawn < 85) {
        await vfs.flush(handle);
      } else if (drawn < 88) {
        await vfs.fsync(handle);
      } else if (drawn < 97) {
        const bytes = Buffer.concat(await vfs.read(handle, 0, 2 * FILE_BYTES));
        if (!bytes.equals(expected)) t.fail(`step ${step}: the client shows something else`);
      } else {
        await vfs.flush(handle);
        if ((await content(other, inode)) !== expected.toString('latin1'))
          t.fail(`step ${step}: another client sees something else`);
      }
    }
    await vfs.flush(handle);
    const told = await vfs.getattr(inode);
    t.equal(await content(other, inode), expected.toString('latin1'));
    const { size, allocated, version } = await other.getattr(inode);
    t.same([size, allocated, version], [told.size, told.allocated, told.version]);
  },
);

t.test(
  'a program without CAP_FSETID writes without the server, where the file has no privileges',
  async t => {
    const { server, cable, cut, vfs, inode, handle } = await scene(t);
    const loss = { privilegeLoss: 'ordinary' as const };
    await vfs.write(handle, 0, Buffer.from('OLD'), loss);
    await vfs.flush(handle);
    cut();
    await vfs.write(handle, 4, Buffer.from('CONTENT'), loss);
    await vfs.flush(handle);
    t.equal(await content(vfs, inode), 'OLD CONTENT');
    cable.mend();
    const other = await connect(t, server);
    t.equal(await content(other, inode), 'OLD CONTENT');
  },
);

t.test('it takes setuid and capabilities from a file that has them', async t => {
  const { server, vfs, inode, handle } = await scene(t);
  const capability = { name: Buffer.from('security.capability'), value: Buffer.alloc(20, 1) };
  await vfs.setattr(inode, { mode: 0o4755 });
  await vfs.setxattr(inode, capability.name, capability.value, 0);
  await vfs.write(handle, 0, Buffer.from('OLD'), { privilegeLoss: 'ordinary' });
  await vfs.flush(handle);
  const other = await connect(t, server);
  t.equal((await other.getattr(inode)).mode & 0o7777, 0o755);
  t.same(await other.listxattr(inode), []);
});
