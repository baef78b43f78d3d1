import t from 'tap';
import { list } from '../../../../src/client/namespace/list.js';
import { mkdir } from '../../../../src/client/namespace/mkdir.js';
import { mknod } from '../../../../src/client/namespace/mknod.js';
import { ROOT_INODE, S_IFREG } from '../../../../src/protocol/file-mode.js';
import { MAX_DIRECTORY_PAGE } from '../../../../src/protocol/limits.js';
import { serve } from '../../vfs/support/connected-clients.js';
import { connectSession } from '../support/connected-session.js';

const CREATION = { mode: 0o755, uid: 0, gid: 0 };
const FILE = { ...CREATION, mode: S_IFREG | 0o644 };

t.test('the files below a directory, however many pages it takes', async t => {
  const session = await connectSession(t, (await serve(t)).endpoint);
  const { inode: many } = await mkdir(session, ROOT_INODE, Buffer.from('many'), CREATION, {});
  const make = async (parent: number, name: string) =>
    await mknod(session, parent, Buffer.from(name), FILE, 0, {});
  const names = Array.from({ length: MAX_DIRECTORY_PAGE + 3 }, (_, at) => `n${String(at).padStart(6, '0')}`);
  await Promise.all(names.map(async name => await make(many, name)));
  await make(ROOT_INODE, 'z');
  const pages: number[] = [];
  const ask = session.ask.bind(session);
  session.ask = (command, request) => {
    pages.push(1);
    return ask(command, request);
  };
  const listed = async (isRecursive: boolean): Promise<string[]> => {
    const paths: string[] = [];
    for await (const { path } of list(session, ROOT_INODE, isRecursive, {})) paths.push(path.join('/'));
    return paths;
  };
  t.same(await listed(false), ['many', 'z']);
  t.equal(pages.length, 1);
  t.same(await listed(true), [...names.map(name => `many/${name}`), 'z']);
  t.equal(pages.length, 3);
});
