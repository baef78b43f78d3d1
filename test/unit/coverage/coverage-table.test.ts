import t from 'tap';
import { coverageTable } from '../../coverage/coverage-table.js';

const share = (covered: number, total: number) => ({ covered, total });

t.test('rooms are added up, and the files come by what is missing', async t => {
  const summary = {
    total: { lines: share(1, 1), branches: share(1, 1) },
    '/dfs/src/vfs/a.ts': { lines: share(90, 100), branches: share(5, 10) },
    '/dfs/src/vfs/b.ts': { lines: share(0, 100), branches: share(0, 0) },
    '/dfs/src/rpc/c.ts': { lines: share(45, 50), branches: share(1, 4) },
    '/dfs/src/rpc/types.ts': { lines: share(0, 0), branches: share(0, 0) },
    '/dfs/test/d.ts': { lines: share(0, 9), branches: share(0, 9) },
  };
  t.equal(
    coverageTable(summary, '/dfs/src/', 2),
    [
      '3 files',
      ' 54.0 % of lines  42.9 % of branches    115 lines missing  all',
      '',
      ' 90.0 % of lines  25.0 % of branches      5 lines missing  rpc/',
      ' 45.0 % of lines  50.0 % of branches    110 lines missing  vfs/',
      '',
      'The lowest, by lines that nothing reached:',
      '  0.0 % of lines 100.0 % of branches    100 lines missing  vfs/b.ts',
      ' 90.0 % of lines  50.0 % of branches     10 lines missing  vfs/a.ts',
      '',
    ].join('\n'),
  );
});
