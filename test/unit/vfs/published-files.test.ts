/** A file that one client renames into place, and another one waits for: nobody is asked twice (metadata/leases/news.ts). */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { waitUntil } from '../../support/wait-until.js';
import { FailingDisk } from '../datanode/store-fixture.js';
import { refusal } from '../metadata/support/harness.js';
import { Cable, connect, serve, startDataNode } from './support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const KEEPER = { drop: async () => undefined, dropAll: async () => undefined };
const CONTENT = Buffer.from('what the other one waits for');
const name = (text: string): Buffer => Buffer.from(text);

/** A directory in which a reader waits for names that a writer makes. */
async function scene(t: Test) {
  const server = await serve(t);
  await startDataNode(t, server, new FailingDisk());
  const writer = await connect(t, server);
  const cable = new Cable();
  const reader = await connect(t, server, cable, { readAheadBytes: 1 << 20 });
  for (const client of [writer, reader]) await client.keepCaches(KEEPER);
  const { inode: directory } = await writer.mkdir(ROOT_INODE, name('shared'), OWNER);
  const publish = async (called: string): Promise<number> => {
    const flags = constants.O_WRONLY;
    const { handle, attributes } = await writer.create(directory, name(`.${called}`), OWNER, true, flags);
    await writer.write(handle, 0, CONTENT);
    await writer.flush(handle);
    await writer.release(handle);
    await writer.rename(directory, name(`.${called}`), directory, name(called), 0);
    return attributes.inode;
  };
  /** The reader looks for the name, as a program that polls. */
  const look = async (called: string): Promise<string> =>
    await refusal(reader.lookup(directory, name(called)));
  return { server, writer, reader, cable, directory, publish, look };
}

async function contentOf(client: Vfs, inode: number): Promise<string> {
  const handle = await client.open(inode, constants.O_RDONLY);
  try {
    return Buffer.concat(await client.read(handle, 0, 1000)).toString();
  } finally {
    await client.release(handle);
  }
}

t.test('who waits for a name has the file with the news of it, and asks nobody', async t => {
  const { reader, cable, directory, publish, look, writer } = await scene(t);
  t.same([await look('ready'), await look('ready')], ['ENOENT', 'ENOENT']);
  const inode = await publish('ready');
  t.notOk(writer.hasToItself(inode), 'the file went back with its new name');
  await waitUntil(async () => (await contentOf(reader, inode)) === CONTENT.toString(), {
    what: 'it is read',
  });
  cable.cut();
  const found = await reader.lookup(directory, name('ready'));
  t.same([found.inode, found.size], [inode, CONTENT.length]);
  t.equal(await contentOf(reader, inode), CONTENT.toString());
  t.equal(await look('.ready'), 'ENOENT', 'its old name is gone');
});

t.test('a change of the file after that is heard of as any other', async t => {
  const { writer, reader, directory, publish, look } = await scene(t);
  t.same([await look('ready'), await look('ready')], ['ENOENT', 'ENOENT']);
  const inode = await publish('ready');
  t.equal((await reader.lookup(directory, name('ready'))).size, CONTENT.length);
  const handle = await writer.open(inode, constants.O_WRONLY);
  await writer.write(handle, CONTENT.length, CONTENT);
  t.equal((await reader.lookup(directory, name('ready'))).size, 2 * CONTENT.length);
  t.equal(await contentOf(reader, inode), `${CONTENT.toString()}${CONTENT.toString()}`);
  await writer.release(handle);
  await writer.unlink(directory, name('ready'));
  t.equal(await look('ready'), 'ENOENT');
});

t.test('names that come and go are true for who looks, each time', async t => {
  const { writer, reader, directory, publish, look } = await scene(t);
  for (let round = 0; round < 30; round += 1) {
    const called = `n${round % 3}`;
    if (round % 5 !== 0) t.equal(await look(called), 'ENOENT');
    const inode = await publish(called);
    t.equal((await reader.lookup(directory, name(called))).inode, inode);
    t.equal(await contentOf(reader, inode), CONTENT.toString());
    await (round % 2 === 0 ? writer : reader).unlink(directory, name(called));
    t.equal(await look(called), 'ENOENT');
  }
});
