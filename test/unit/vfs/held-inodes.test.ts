/** What a client acknowledges before it tells the metadata server, of inodes that it has to itself (client/leases/held-inodes.ts). */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { sleep, systemClock } from '../../../src/platform/clock.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { waitUntil } from '../../support/wait-until.js';
import { refusal } from '../metadata/support/harness.js';
import { Cable, connect, serve, startDataNode } from './support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const name = (text: string): Buffer => Buffer.from(text);
const KEEPER = { drop: async () => undefined, dropAll: async () => undefined };
/** Within this a client acknowledges ahead of a server that does not answer. */
const AHEAD_MS = 500;

/** The names in a directory, as a client sees them. */
async function names(vfs: Vfs, directory: number): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of vfs.readdir(directory)) found.push(entry.name.toString());
  return found;
}

/** A client on a cable, in a directory of its own in which it decides alone. */
async function alone(t: Test) {
  const server = await serve(t);
  const cable = new Cable();
  const vfs = await connect(t, server, cable);
  await vfs.keepCaches(KEEPER);
  const { inode: directory } = await vfs.mkdir(ROOT_INODE, name('own'), OWNER);
  await waitUntil(() => vfs.hasToItself(directory), { what: 'the client has the directory to itself' });
  await vfs.mkdir(directory, name('ahead'), OWNER);
  // Whether the directory has a default ACL it had to ask; now it knows.
  await vfs.fsyncDirectory(directory);
  return { server, cable, vfs, directory };
}

t.test('names and attributes are changed without the server, and everybody sees them', async t => {
  const { server, cable, vfs, directory } = await alone(t);
  cable.cut();
  const { inode } = await vfs.mkdir(directory, name('a'), OWNER);
  await vfs.mkdir(directory, name('b'), OWNER);
  await vfs.rename(directory, name('a'), directory, name('c'), 0);
  await vfs.rmdir(directory, name('b'));
  await vfs.setattr(inode, { mode: 0o700 });
  const told = await vfs.getattr(inode);
  cable.mend();
  t.equal(told.mode & 0o777, 0o700);
  const other = await connect(t, server);
  t.same(await names(other, directory), ['ahead', 'c']);
  t.same(await other.getattr(inode), told, 'the server made of it what was told');
  t.same(await names(vfs, directory), ['ahead', 'c']);
});

t.test('a second name is given without the server, and everybody sees it', async t => {
  const { server, cable, vfs, directory } = await alone(t);
  const { handle, attributes } = await vfs.create(directory, name('me'), OWNER, true, constants.O_RDWR);
  await vfs.release(handle);
  cable.cut();
  const linked = await vfs.link(attributes.inode, directory, name('lock'));
  t.equal(linked.nlink, 2);
  t.equal(await refusal(vfs.mkdir(directory, name('other'), OWNER)), 'OK', 'the log goes on');
  await vfs.unlink(directory, name('me'));
  const told = await vfs.getattr(attributes.inode);
  t.equal(told.nlink, 1);
  cable.mend();
  const other = await connect(t, server);
  t.same(await names(other, directory), ['ahead', 'lock', 'other']);
  t.same(await other.getattr(attributes.inode), told, 'the server made of it what was told');
});

t.test('a symbolic link is made and read without the server, and everybody sees it', async t => {
  const { server, cable, vfs, directory } = await alone(t);
  const owner = { uid: 7, gid: 8 };
  const target = Buffer.from('../elsewhere/\u00e4');
  cable.cut();
  const { inode } = await vfs.symlink(directory, name('link'), target, owner);
  t.same(await vfs.readlink(inode), target, 'its target is known here');
  t.same((await vfs.lookup(directory, name('link'))).inode, inode);
  const told = await vfs.getattr(inode);
  t.equal(told.size, target.length);
  t.equal(told.uid, 7);
  cable.mend();
  const other = await connect(t, server);
  t.same(await other.readlink(inode), target);
  t.same(await other.getattr(inode), told, 'the server made of it what was told');
  await other.unlink(directory, name('link'));
  const { inode: remade } = await other.symlink(directory, name('link'), name('new'), owner);
  t.equal((await vfs.lookup(directory, name('link'))).inode, remade);
  t.same(await vfs.readlink(remade), name('new'), 'another link of that name has a target of its own');
});

t.test('what no symbolic link can be is refused by the server, in order', async t => {
  const { vfs, directory } = await alone(t);
  const owner = { uid: 0, gid: 0 };
  await vfs.mkdir(directory, name('taken'), OWNER);
  t.equal(await refusal(vfs.symlink(directory, name('taken'), name('x'), owner)), 'EEXIST');
  t.equal(await refusal(vfs.symlink(directory, name('empty'), name(''), owner)), 'ENOENT');
  t.same(await names(vfs, directory), ['ahead', 'taken']);
});

t.test('a lock file made by hard links excludes clients that wait for it', async t => {
  const { server, vfs, directory } = await alone(t);
  const other = await connect(t, server);
  await other.keepCaches(KEEPER);
  const counted: string[] = [];
  let holders = 0;
  const take = async (client: Vfs, own: string): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) {
      const { handle, attributes } = await client.create(directory, name(own), OWNER, true, constants.O_RDWR);
      await client.release(handle);
      while ((await refusal(client.link(attributes.inode, directory, name('lock')))) !== 'OK');
      holders += 1;
      if (holders > 1) t.fail(`${own} has the lock beside another client`);
      counted.push(own);
      await client.unlink(directory, name(own));
      holders -= 1;
      await client.unlink(directory, name('lock'));
    }
  };
  await Promise.all([take(vfs, 'a'), take(other, 'b')]);
  t.equal(counted.length, 40);
});

t.test('what another client asks for waits until everything that was acknowledged is committed', async t => {
  const { server, vfs, directory } = await alone(t);
  const other = await connect(t, server);
  for (let round = 0; round < 200; round += 1) {
    const made = name(`f${round}`);
    const { inode } = await vfs.mkdir(directory, made, OWNER);
    if (round % 20 === 0) t.equal((await other.lookup(directory, made)).inode, inode);
    else if (round % 20 === 1) t.equal(await refusal(other.mkdir(directory, made, OWNER)), 'EEXIST');
  }
  t.equal((await names(other, directory)).length, 201);
});

t.test('while the server is away nothing more is acknowledged', async t => {
  const { cable, vfs, directory } = await alone(t);
  cable.cut();
  await vfs.mkdir(directory, name('young'), OWNER);
  await sleep(systemClock, 2 * AHEAD_MS);
  let isAnswered = false;
  const late = vfs.mkdir(directory, name('late'), OWNER).then(() => (isAnswered = true));
  await sleep(systemClock, 100);
  t.notOk(isAnswered, 'it waits as if it had nothing to itself');
  cable.mend();
  await late;
  t.same(await names(vfs, directory), ['ahead', 'late', 'young']);
});

t.test('a client that was away for too long is told that what it acknowledged is lost', async t => {
  const { server, cable, vfs, directory } = await alone(t);
  cable.cut();
  await vfs.mkdir(directory, name('lost'), OWNER);
  const other = await connect(t, server);
  t.same(await names(other, directory), ['ahead'], 'it counts as dead');
  cable.mend();
  t.equal(await refusal(vfs.fsyncDirectory(directory)), 'EIO');
  t.same(await names(vfs, directory), ['ahead']);
  t.equal(await refusal(vfs.fsyncDirectory(directory)), 'OK', 'told once');
  await vfs.mkdir(directory, name('lost'), OWNER);
  t.same(await names(other, directory), ['ahead', 'lost']);
});

t.test('bytes that were lost after close are told to whoever opens the file next', async t => {
  const { server, cable, vfs, directory } = await alone(t);
  await startDataNode(t, server);
  const write = async (called: string): Promise<number> => {
    const created = await vfs.create(directory, name(called), OWNER, true, constants.O_RDWR);
    await vfs.write(created.handle, 0, Buffer.from('content'));
    await vfs.flush(created.handle);
    await vfs.release(created.handle);
    return created.attributes.inode;
  };
  await write('warm');
  await vfs.fsyncDirectory(directory);
  await waitUntil(() => vfs.hasToItself(directory), { what: 'the client has the directory to itself' });
  const inode = await write('made');
  const kept = await vfs.open(inode, constants.O_RDWR);
  await vfs.fsync(kept);
  await vfs.write(kept, 7, Buffer.from(' lost'));
  cable.cut(server.endpoint.port);
  await vfs.flush(kept);
  await vfs.release(kept);
  const other = await connect(t, server);
  t.equal((await other.getattr(inode)).size, 7, 'others have gone on without it');
  cable.mend();
  t.equal(await refusal(vfs.fsyncDirectory(directory)), 'EIO');
  const again = await vfs.open(inode, constants.O_RDWR);
  t.equal(await refusal(vfs.fsync(again)), 'EIO');
  t.equal(await refusal(vfs.fsync(again)), 'OK', 'told once');
  t.equal(Buffer.concat(await vfs.read(again, 0, 100)).toString(), 'content');
  await vfs.release(again);
});

t.test('an open file whose creation was lost fails at fsync', async t => {
  const { server, cable, vfs, directory } = await alone(t);
  cable.cut();
  const { handle } = await vfs.create(directory, name('empty'), OWNER, true, constants.O_RDWR);
  const other = await connect(t, server);
  t.same(await names(other, directory), ['ahead']);
  cable.mend();
  t.equal(await refusal(vfs.fsync(handle)), 'EIO');
  t.equal(await refusal(vfs.fsyncDirectory(directory)), 'EIO');
  await vfs.release(handle);
});

t.test(
  'two who make files in one directory take turns, and each sees all that the other has made',
  async t => {
    const { server, vfs, directory } = await alone(t);
    const other = await connect(t, server);
    await other.keepCaches(KEEPER);
    const clients = [vfs, other];
    const turns = [0, 0];
    const make = async (client: Vfs, index: number): Promise<void> => {
      for (let made = 0; made < 300; made += 1) {
        const called = name(`${index}-${made}`);
        t.equal(await refusal(client.lookup(directory, called)), 'ENOENT');
        const { handle } = await client.create(directory, called, OWNER, true, constants.O_RDWR);
        if (client.hasToItself(directory)) turns[index] = (turns[index] ?? 0) + 1;
        await client.release(handle);
        // What the other one has made by now may not be there yet, but what it makes of it is never wrong.
        if (made % 50 === 49) {
          const seen = await names(clients[1 - index] ?? vfs, directory);
          t.ok(seen.includes(`${index}-${made}`), 'made, and seen');
        }
      }
    };
    await Promise.all(clients.map(make));
    t.equal((await names(vfs, directory)).length, 601);
    t.equal((await names(other, directory)).length, 601);
    t.ok(
      turns.every(made => made > 100),
      `files that each made in its turns: ${turns.join(' and ')}`,
    );
  },
);

t.test('names that others change in their turns are true in one’s own', async t => {
  const { server, vfs, directory } = await alone(t);
  const other = await connect(t, server);
  await other.keepCaches(KEEPER);
  // Whoever takes the token makes it the other's; both have known the whole directory before.
  const pass = async (client: Vfs, own: string, theirs: string): Promise<void> => {
    for (let round = 0; round < 40; round += 1) {
      while (
        (await refusal(client.rename(directory, name(own), directory, name(`${own}.taken`), 0))) !== 'OK'
      );
      t.equal(await refusal(client.lookup(directory, name(own))), 'ENOENT');
      for (let made = 0; made < 8; made += 1)
        await client.mkdir(directory, name(`${own}-${round}-${made}`), OWNER);
      await client.rename(directory, name(`${own}.taken`), directory, name(theirs), 0);
    }
  };
  const { handle } = await vfs.create(directory, name('a'), OWNER, true, constants.O_RDWR);
  await vfs.release(handle);
  await Promise.all([pass(vfs, 'a', 'b'), pass(other, 'b', 'a')]);
  t.equal((await names(other, directory)).length, 2 + 640);
});
