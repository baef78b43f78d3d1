/**
 * docs/decisions/04: a change that was answered may be gone after a power loss of the metadata server within a second; then
 * `fsync` of the file or the directory says so, once, and of what is there it says nothing.
 */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { Attributes } from '../../../src/protocol/types.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { waitUntil } from '../../support/wait-until.js';
import { refusal } from '../metadata/support/harness.js';
import { connect, PowerCut } from './support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const name = (text: string): Buffer => Buffer.from(text);
const FILE = name('file');
const XATTR = name('user.kept');
const KEEPER = { drop: async () => undefined, dropAll: async () => undefined };

interface Scene {
  readonly power: PowerCut;
  readonly vfs: Vfs;
  readonly directory: number;
  readonly file: Attributes;
  readonly handle: number;
}

/**
 * A directory and an open file in it, which the server's disk has.
 * @param isAlone the client acknowledges changes before the server has them
 */
async function scene(t: Test, isAlone: boolean): Promise<Scene> {
  const power = await PowerCut.start(t);
  const vfs = await connect(t, power.server);
  // It reports once more what each test has lost.
  t.teardown(async () => await refusal(vfs.close()));
  if (isAlone) await vfs.keepCaches(KEEPER);
  const { inode: directory } = await vfs.mkdir(ROOT_INODE, name('directory'), OWNER);
  const { handle, attributes } = await vfs.create(directory, FILE, OWNER, true, constants.O_RDWR);
  await vfs.fsync(handle);
  await power.remember();
  await vfs.fsyncDirectory(directory);
  if (isAlone) {
    const isAsked = async (): Promise<boolean> => {
      await vfs.setattr(ROOT_INODE, { mode: 0o777 });
      return vfs.hasToItself(directory);
    };
    await waitUntil(isAsked, { what: 'the client has the directory to itself' });
    // Now it knows every name in it.
    await vfs.getattr(directory);
    await vfs.readdirPage(directory, new Uint8Array());
  }
  return { power, vfs, directory, file: attributes, handle };
}

/** What was acknowledged is answered by the server, though not for certain on its disk. */
async function answered(vfs: Vfs): Promise<void> {
  await vfs.resolve([]);
}

for (const isAlone of [false, true]) {
  const how = isAlone ? 'acknowledged ahead' : 'answered by the server';

  t.test(`fsync tells of an extended attribute that was set and is gone (${how})`, async t => {
    const { power, vfs, directory, file, handle } = await scene(t, isAlone);
    await vfs.setxattr(file.inode, XATTR, name('value'), 0);
    await answered(vfs);
    await power.fail();
    t.equal(await refusal(vfs.fsync(handle)), 'EIO');
    t.equal(await refusal(vfs.fsync(handle)), 'OK', 'told once');
    t.equal(await refusal(vfs.getxattr(file.inode, XATTR)), 'ENODATA');
    t.equal(await refusal(vfs.fsyncDirectory(directory)), 'OK', 'no name is lost');
  });

  t.test(`fsync tells of an extended attribute that was removed and is back (${how})`, async t => {
    const { power, vfs, directory, file, handle } = await scene(t, isAlone);
    await vfs.setxattr(file.inode, XATTR, name('value'), 0);
    await vfs.fsync(handle);
    await power.remember();
    await vfs.removexattr(file.inode, XATTR);
    await answered(vfs);
    await power.fail();
    t.equal(await refusal(vfs.fsync(handle)), 'EIO');
    t.equal((await vfs.getxattr(file.inode, XATTR)).toString(), 'value');
    t.equal(await refusal(vfs.fsyncDirectory(directory)), 'OK', 'no name is lost');
  });

  t.test(`fsync of an empty file tells that the file is gone (${how})`, async t => {
    const { power, vfs, directory } = await scene(t, isAlone);
    const made = await vfs.create(directory, name('new'), OWNER, true, constants.O_RDWR);
    await answered(vfs);
    await power.fail();
    t.equal(await refusal(vfs.fsync(made.handle)), 'EIO');
    t.equal(await refusal(vfs.lookup(directory, name('new'))), 'ENOENT');
    t.equal(await refusal(vfs.fsyncDirectory(directory)), 'EIO', 'its name is lost');
  });

  t.test(`fsync of a file tells that its new name is gone (${how})`, async t => {
    const { power, vfs, directory, handle } = await scene(t, isAlone);
    await vfs.rename(directory, FILE, directory, name('renamed'), 0);
    await answered(vfs);
    await power.fail();
    t.equal(await refusal(vfs.fsync(handle)), 'EIO');
    t.equal(await refusal(vfs.lookup(directory, name('renamed'))), 'ENOENT');
    t.equal(await refusal(vfs.fsyncDirectory(directory)), 'EIO', 'and so is that of the directory');
  });

  t.test(`fsync of a directory tells what is lost of its own (${how})`, async t => {
    const { power, vfs, directory, handle } = await scene(t, isAlone);
    await vfs.setattr(directory, { mode: 0o700 });
    await answered(vfs);
    await power.fail();
    t.equal(await refusal(vfs.fsync(handle)), 'OK', 'nothing of the file is lost');
    t.equal(await refusal(vfs.fsyncDirectory(directory)), 'EIO');
    t.equal(await refusal(vfs.fsyncDirectory(directory)), 'OK', 'told once');
  });

  t.test(`each directory tells of the names that it has lost (${how})`, async t => {
    const { power, vfs, directory } = await scene(t, isAlone);
    await vfs.mkdir(directory, name('below'), OWNER);
    await vfs.mkdir(ROOT_INODE, name('beside'), OWNER);
    await answered(vfs);
    await power.fail();
    t.equal(await refusal(vfs.fsyncDirectory(directory)), 'EIO');
    t.equal(await refusal(vfs.fsyncDirectory(ROOT_INODE)), 'EIO');
    t.equal(await refusal(vfs.syncfs()), 'EIO', 'syncfs speaks for all of them');
    t.equal(await refusal(vfs.syncfs()), 'OK', 'told once');
  });

  t.test(`the next open of a closed file tells what it has lost (${how})`, async t => {
    const { power, vfs, file, handle } = await scene(t, isAlone);
    await vfs.release(handle);
    await vfs.setattr(file.inode, { mode: 0o600 });
    await answered(vfs);
    await power.fail();
    await answered(vfs);
    const again = await vfs.open(file.inode, constants.O_RDONLY);
    t.equal(await refusal(vfs.fsync(again)), 'EIO');
    t.equal(await refusal(vfs.fsync(again)), 'OK', 'told once');
  });
}
