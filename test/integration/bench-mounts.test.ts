/** `npm run bench -- --mounts 2` measures two mounts of one cluster, and takes everything away again. */
import { mkdtemp, readdir, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { environmentFor, inClone, runFile } from '../support/programs.js';

const TIMEOUT_MS = 240_000;
const WRONG_USAGE = 2;

const DRIVER = inClone('build/test/bench/bench-driver.js');

t.test('two mounts are measured together and alone', async t => {
  if (process.getuid?.() !== 0) return void t.pass('only root can drop caches');
  const results = t.testdir({});
  const place = await mkdtemp(join(tmpdir(), 'dfs-bench-test-'));
  t.teardown(async () => await rmdir(place));
  const parameters = [DRIVER, '--mounts=2', '--subjects=dfs1', '--runs=1', '--quick', '--markdown'];
  const { code, stdout, stderr } = await runFile(process.execPath, [...parameters, `--results=${results}`], {
    env: { ...environmentFor('/nonexistent'), TMPDIR: place },
    timeoutMs: TIMEOUT_MS,
  });
  t.equal(code, 0, stderr);
  const names = [...stdout.matchAll(/^\| (\S+@\d+) \| \S+ \| [\d.]+ \|$/gm)].map(([, name]) => name);
  const own = ['create', 'stat', 'read', 'rewrite', 'rename', 'unlink', 'seq-write'];
  const shared = ['shared-create', 'shared-list', 'shared-append', 'handoff-p50', 'handoff-p95'];
  const server = ['create', 'rename', 'chmod', 'stat', 'unlink'];
  t.same(names, [
    ...own.map(name => `${name}@1`),
    ...[...own, ...shared].map(name => `${name}@2`),
    ...server.map(name => `cpu-${name}@2`),
  ]);
  t.match(stdout, /dfs1: 2 mounts create [\d.]+ × the files that one creates alone/);
  t.notMatch(stdout, /lost/, 'no appended line is lost');
  t.same(await readdir(place), [], 'nothing stays');
});

t.test('a wrong option is refused before anything is started', async t => {
  const { code, stdout, stderr } = await runFile(process.execPath, [DRIVER, '--mounts=many']);
  t.equal(code, WRONG_USAGE);
  t.equal(stdout, '');
  t.match(stderr, /^bench: 'many' is not a number of mounts; give a whole number from 1 to 100\n$/);
});
