/** The listing of `dfs ls`, beside a server that has two entries for a page. */
import t from 'tap';
import { list } from '../../../../src/client/namespace/list.js';
import type { MetadataSession } from '../../../../src/client/session/metadata-session.js';
import { ROOT_INODE } from '../../../../src/protocol/file-mode.js';
import type { Caller } from '../../../../src/protocol/types.js';

const PAGE = 2;

interface Asked {
  readonly root: number;
  readonly after: readonly Uint8Array[];
  readonly recursive: boolean;
  readonly caller?: Caller;
}

function scripted(paths: readonly string[]) {
  const requests: Asked[] = [];
  const ask = async (_: unknown, request: Asked) => {
    requests.push(request);
    const after = Buffer.concat(request.after.flatMap(name => [name, Buffer.from('/')])).toString();
    const rest = paths.filter(path => `${path}/` > after);
    const entries = rest.slice(0, PAGE).map(path => ({
      path: path.split('/').map(name => new TextEncoder().encode(name)),
      attributes: { inode: paths.indexOf(path) },
    }));
    return await Promise.resolve({ entries, end: rest.length <= PAGE });
  };
  // Of the session only this one request is made.
  return { requests, session: { ask } as unknown as Pick<MetadataSession, 'ask'> };
}

async function listed(session: Pick<MetadataSession, 'ask'>): Promise<unknown[]> {
  const all: unknown[] = [];
  const by = { caller: { uid: 7, gid: 7, groups: [] } };
  for await (const { path, attributes } of list(session, ROOT_INODE, true, by))
    all.push([path.join('/'), attributes.inode]);
  return all;
}

t.test('page after page, each behind the last name of the one before', async t => {
  const { session, requests } = scripted(['a/1', 'a/2', 'b', 'c/d/3', 'e']);
  t.same(await listed(session), [
    ['a/1', 0],
    ['a/2', 1],
    ['b', 2],
    ['c/d/3', 3],
    ['e', 4],
  ]);
  t.same(
    requests.map(({ after }) => after.map(name => Buffer.from(name).toString()).join('/')),
    ['', 'a/2', 'c/d/3'],
  );
  t.match(requests[0], { root: ROOT_INODE, recursive: true, caller: { uid: 7 } });
});

t.test('a directory without anything in it, and one that a page holds exactly', async t => {
  const nothing = scripted([]);
  t.same(await listed(nothing.session), []);
  t.equal(nothing.requests.length, 1);
  const page = scripted(['a', 'b']);
  t.equal((await listed(page.session)).length, 2);
  t.equal(page.requests.length, 1);
});
