import t from 'tap';
import { namesOf } from '../../../src/vfs/path-walk.js';

t.test('a path is its names, without empty ones and dots; names are bytes', async t => {
  const names = (path: string | Buffer): string[] =>
    namesOf(Buffer.from(path)).map(n => n.toString('latin1'));
  t.same(names('/'), []);
  t.same(names('/a//b/./c/'), ['a', 'b', 'c']);
  t.same(names('a/../b'), ['a', '..', 'b']);
  t.same(names(Buffer.from('/\xff\xfe/x', 'latin1')), ['\xff\xfe', 'x']);
});
