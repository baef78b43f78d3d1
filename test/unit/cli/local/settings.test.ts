/** What holds for the local cluster: the variables of this call, else those of the call that started it, else the defaults. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  countNodes,
  forgetSettings,
  heldNodePort,
  heldSettings,
  holdNodePort,
  holdSettings,
  readWishes,
  settle,
  type LocalPaths,
} from '../../../../src/cli/local/settings.js';
import { UsageError } from '../../../../src/cli/usage-error.js';

const NONE = { port: undefined, nodes: undefined, goal: undefined };

function makePaths(test: Test): LocalPaths {
  const home = mkdtempSync(join(tmpdir(), 'dfs-local-settings-'));
  test.teardown(() => rmSync(home, { recursive: true, force: true }));
  const run = join(home, 'run');
  mkdirSync(run);
  return { home, run, log: join(home, 'log'), database: join(home, 'db'), key: join(home, 'key') };
}

t.test('variables are numbers within bounds', async t => {
  t.same(readWishes({}), NONE);
  t.same(readWishes({ DFS_PORT: '', DFS_NODES: '08', DFS_GOAL: '5' }), {
    port: undefined,
    nodes: 8,
    goal: 5,
  });
  const wrong: readonly (readonly [string, string, number])[] = [
    ['DFS_PORT', '0', 65_535],
    ['DFS_PORT', '65536', 65_535],
    ['DFS_PORT', '123456', 65_535],
    ['DFS_NODES', 'three', 100],
    ['DFS_NODES', '101', 100],
    ['DFS_GOAL', '-1', 5],
    ['DFS_GOAL', '100', 5],
  ];
  for (const [name, value, max] of wrong)
    t.throws(
      () => readWishes({ [name]: value }),
      new UsageError(`${name} is '${value}'; give a number from 1 to ${max}`),
    );
});

t.test('settings hold until they are forgotten', async t => {
  const paths = makePaths(t);
  t.same(settle(NONE, heldSettings(paths)), { port: 8000, goal: 2 });
  holdSettings(paths, { port: 8100, goal: 3, nodes: 4 });
  t.same(settle(NONE, heldSettings(paths)), { port: 8100, goal: 3 });
  t.same(settle({ ...NONE, port: 8200 }, heldSettings(paths)), { port: 8200, goal: 3 });
  forgetSettings(paths);
  forgetSettings(paths);
  t.same(settle(NONE, heldSettings(paths)), { port: 8000, goal: 2 });
  t.equal(countNodes(paths, NONE), 4, 'the number of nodes goes on to hold');
});

t.test('nodes that were made once belong to the cluster', async t => {
  const paths = makePaths(t);
  t.equal(countNodes(paths, NONE), 3);
  t.equal(countNodes(paths, { ...NONE, nodes: 1 }), 1);
  for (const name of ['node5', 'node2', 'node07', 'nodes9', 'node12345']) mkdirSync(join(paths.home, name));
  t.equal(countNodes(paths, { ...NONE, nodes: 1 }), 5);
  t.equal(countNodes(paths, { ...NONE, nodes: 7 }), 7);
});

t.test('a node keeps its port', async t => {
  const paths = makePaths(t);
  t.equal(heldNodePort(paths, 'node1'), undefined);
  holdNodePort(paths, 'node1', 40_123);
  t.equal(heldNodePort(paths, 'node1'), 40_123);
  writeFileSync(join(paths.run, 'node1.port'), 'garbage');
  t.equal(heldNodePort(paths, 'node1'), undefined);
});
