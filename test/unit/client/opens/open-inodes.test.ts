/** An inode that a client has open lives on when its last name goes, whether or not the server was told of it before. */
import t, { type Test } from 'tap';
import { unlink } from '../../../../src/client/namespace/unlink.js';
import type { MetadataSession } from '../../../../src/client/session/metadata-session.js';
import { lookup, mknod } from '../../../../src/protocol/namespace-commands.js';
import { ROOT_INODE, S_IFREG } from '../../../../src/protocol/file-mode.js';
import { waitUntil } from '../../../support/wait-until.js';
import { refusal } from '../../metadata/support/harness.js';
import { Cable, serve } from '../../vfs/support/connected-clients.js';
import { connectSession } from '../support/connected-session.js';

const FILE = Buffer.from('file');

async function make(session: MetadataSession): Promise<number> {
  const { attributes } = await session.ordered.execute(mknod, {
    parent: ROOT_INODE,
    name: FILE,
    mode: S_IFREG | 0o644,
    uid: 0,
    gid: 0,
    rdev: 0,
    open: false,
    exclusive: true,
  });
  return attributes.inode;
}

/** A client that caches, another one, and a file that the first one knows. */
async function scene(t: Test) {
  const server = await serve(t);
  const cable = new Cable();
  const session = await connectSession(t, server.endpoint, cable);
  const other = await connectSession(t, server.endpoint);
  const inode = await make(other);
  await session.beginCaching();
  await session.getattr(inode);
  return { session, other, cable, inode };
}

const nlink = async (session: MetadataSession, inode: number): Promise<number> =>
  (await session.getattr(inode)).nlink;
const isGone = async (session: MetadataSession, inode: number): Promise<boolean> =>
  (await refusal(session.getattr(inode))) === 'ENOENT';

t.test('a known file is opened without the server, and outlives its removal by another client', async t => {
  const { session, other, cable, inode } = await scene(t);
  cable.cut();
  t.equal(session.opens.openKnown(inode)?.inode, inode, 'nobody need be asked');
  cable.mend();
  await waitUntil(() => session.lease.isAlive, { what: 'the client is back' });
  await unlink(other, ROOT_INODE, FILE, {});
  t.equal(await nlink(session, inode), 0, 'it is there');
  await session.opens.release(inode);
  await waitUntil(async () => await isGone(other, inode), { what: 'it goes with the last close' });
});

t.test('a known file that is open outlives its removal by the same client', async t => {
  const { session, other, inode } = await scene(t);
  session.opens.openKnown(inode);
  await unlink(session, ROOT_INODE, FILE, {});
  t.equal(await nlink(other, inode), 0);
  await session.opens.release(inode);
  await waitUntil(async () => await isGone(other, inode), { what: 'it goes with the last close' });
});

t.test('a file lives until the last of its handles is given back', async t => {
  const { session, other, inode } = await scene(t);
  await session.opens.open(inode, 4, undefined);
  session.opens.recordOpen(inode);
  await unlink(other, ROOT_INODE, FILE, {});
  await session.opens.release(inode);
  t.ok(session.opens.has(inode));
  t.equal(await nlink(other, inode), 0);
  await session.opens.release(inode);
  t.notOk(session.opens.has(inode));
  await waitUntil(async () => await isGone(other, inode), { what: 'it goes with the last close' });
});

t.test('a file that is opened again before the server heard of its close stays open', async t => {
  const { session, other, inode } = await scene(t);
  await session.opens.open(inode, 4, undefined);
  const released = session.opens.release(inode);
  session.opens.recordOpen(inode);
  await released;
  await unlink(other, ROOT_INODE, FILE, {});
  t.equal(await nlink(other, inode), 0);
});

t.test('an open that is refused counts no handle', async t => {
  const { session, inode } = await scene(t);
  t.equal(await refusal(session.opens.open(inode + 1000, 4, undefined)), 'ENOENT');
  t.notOk(session.opens.has(inode + 1000));
});

t.test('a file is not opened from the cache while this client takes a name away', async t => {
  const { session, inode } = await scene(t);
  await session.opens.removing(ROOT_INODE, FILE, async () => {
    t.equal(session.opens.openKnown(inode), undefined);
  });
  t.ok(session.opens.openKnown(inode));
});

t.test('the server learns of every open file when the session is resumed', async t => {
  const { session, other, cable, inode } = await scene(t);
  session.opens.openKnown(inode);
  cable.cut();
  cable.mend();
  await session.ask(lookup, { parent: ROOT_INODE, name: FILE });
  await unlink(other, ROOT_INODE, FILE, {});
  t.equal(await nlink(other, inode), 0);
});
