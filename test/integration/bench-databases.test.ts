/** `npm run bench -- --only databases` finds again what databases stored, and takes everything away again. */
import { chmod, mkdtemp, readdir, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { environmentFor, inClone, runFile } from '../support/programs.js';

const TIMEOUT_MS = 120_000;
const PASSABLE = 0o711;
const ALWAYS = ['append-1p', 'append-6p', 'overwrite-1p', 'overwrite-6p']
  .map(name => `fsync-${name}`)
  .concat(['wal-1', 'wal-6', 'rollback-1', 'rollback-6'].map(name => `sqlite-${name}`));
/** The first word of the sentence where they are not installed → what is measured where they are. */
const WHERE_INSTALLED: ReadonlyMap<string, readonly string[]> = new Map([
  ['PostgreSQL', ['pgbench-1c', 'pgbench-4c']],
  ['Redis', ['redis-set-1c', 'redis-set-16c']],
]);

t.test('databases are measured on a local disk', async t => {
  if (process.getuid?.() !== 0) return void t.pass('only root can drop caches');
  const place = await mkdtemp(join(tmpdir(), 'dfs-bench-test-'));
  t.teardown(async () => await rmdir(place));
  // PostgreSQL runs as another user.
  await chmod(place, PASSABLE);
  const driver = inClone('build/test/bench/bench-driver.js');
  const choice = ['--only=databases', '--subjects=local', '--runs=1', '--quick', '--markdown'];
  const parameters = [driver, ...choice, `--results=${t.testdir({})}`];
  const { code, stdout, stderr } = await runFile(process.execPath, parameters, {
    env: { ...environmentFor('/nonexistent'), TMPDIR: place },
    timeoutMs: TIMEOUT_MS,
  });
  t.equal(code, 0, stderr);
  const measured = new Map(
    [...stdout.matchAll(/^\| (\S+) \| \S+ \| ([\d.]+) \|$/gm)].map(row => [row[1], row[2]]),
  );
  for (const name of ALWAYS) t.ok(Number(measured.get(name)) > 0, name);
  for (const [program, names] of WHERE_INSTALLED) {
    if (new RegExp(`: ${program} is not measured without .*: apt-get install `).test(stderr)) continue;
    for (const name of names) t.ok(Number(measured.get(name)) > 0, name);
  }
  t.same(await readdir(place), [], 'nothing stays');
});
