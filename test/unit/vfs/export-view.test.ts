/** A directory that is mounted as if it were the root. */
import { constants } from 'node:fs';
import t from 'tap';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { viewOf } from '../../../src/vfs/export-view.js';
import type { Revocation } from '../../../src/vfs/file-system.js';
import { waitUntil } from '../../support/wait-until.js';
import { refusal } from '../metadata/support/harness.js';
import { connect, PowerCut } from './support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const name = (text: string): Buffer => Buffer.from(text);
const PHOTOS = [name('photos')];

t.test('its root is inode 1, and everything else keeps its number', async t => {
  const { server } = await PowerCut.start(t);
  const whole = await connect(t, server);
  const photos = (await whole.mkdir(ROOT_INODE, PHOTOS[0] ?? name(''), OWNER)).inode;
  const year = (await whole.mkdir(photos, name('2026'), OWNER)).inode;
  const part = await viewOf(await connect(t, server), PHOTOS);
  t.match(await part.getattr(ROOT_INODE), { inode: ROOT_INODE, nlink: 3 });
  t.equal((await part.lookup(ROOT_INODE, name('2026'))).inode, year);
  t.same(await part.resolve([name('2026')]), await whole.getattr(year));
  t.equal((await part.readdirPage(ROOT_INODE, name(''))).parent, ROOT_INODE);
  t.equal((await part.readdirPage(year, name(''))).parent, ROOT_INODE);
  const { handle, attributes } = await part.create(ROOT_INODE, name('new'), OWNER, true, constants.O_RDWR);
  t.equal(part.inodeOf(handle), attributes.inode);
  await part.release(handle);
  await part.rename(ROOT_INODE, name('new'), year, name('moved'), 0);
  await part.link(attributes.inode, ROOT_INODE, name('linked'));
  await part.setxattr(ROOT_INODE, name('user.x'), name('y'), 0);
  t.equal(String(await whole.getxattr(photos, name('user.x'))), 'y');
  t.equal((await whole.lookup(year, name('moved'))).inode, attributes.inode);
  const listed: string[] = [];
  for await (const { path } of part.list(ROOT_INODE, true)) listed.push(path.join('/'));
  t.same(listed, ['2026/moved', 'linked']);
  t.equal(await refusal(viewOf(await connect(t, server), [...PHOTOS, name('linked')])), 'ENOTDIR');
  t.equal(await refusal(viewOf(await connect(t, server), [name('nothing')])), 'ENOENT');
});

t.test('what keeps its names is told of changes by the numbers that it knows', async t => {
  const { server } = await PowerCut.start(t);
  const whole = await connect(t, server);
  const photos = (await whole.mkdir(ROOT_INODE, PHOTOS[0] ?? name(''), OWNER)).inode;
  await whole.fsyncDirectory(photos);
  const part = await viewOf(await connect(t, server), PHOTOS);
  const told: Revocation[] = [];
  const lease = await part.keepCaches({
    drop: async revocation => void told.push(revocation),
    dropAll: async () => undefined,
  });
  const ticket = lease.ticket();
  await refusal(part.lookup(ROOT_INODE, name('later')));
  t.ok(lease.mayKeepNames(ticket, ROOT_INODE));
  await whole.mkdir(photos, name('later'), OWNER);
  await waitUntil(() => told.length > 0, { what: 'the other client hears of the new name' });
  const parents = new Set(told.flatMap(({ names }) => names.map(each => each.parent)));
  const directories = new Set(told.flatMap(each => each.directories));
  t.ok(parents.has(ROOT_INODE) || directories.has(ROOT_INODE), 'of its root');
  t.notOk(parents.has(photos) || directories.has(photos));
});
