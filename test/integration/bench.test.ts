/** `dfs bench` as a user runs it, on a local directory. The speed itself does not matter here. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { environmentFor, inClone, runFile, type Outcome } from '../support/programs.js';
import { waitUntil } from '../support/wait-until.js';

const FAILED = 1;
const WRONG_USAGE = 2;

interface Told {
  readonly directory: string;
  readonly measurements: readonly { readonly name: string; readonly value: number; readonly unit: string }[];
  readonly notes: readonly string[];
}

async function bench(...parameters: string[]): Promise<Outcome> {
  const command = [inClone('bin/dfs'), 'bench', ...parameters];
  return await runFile(process.execPath, command, { env: environmentFor('/nonexistent') });
}

t.test('it tells what it measured, and leaves what was there', async t => {
  const directory = t.testdir({ mine: 'content' });
  const { code, stdout, stderr } = await bench(directory, '--quick', '--only', 'dirs,append', '--json');
  t.equal(code, 0, stderr);
  const told = JSON.parse(stdout) as Told;
  t.equal(told.directory, directory);
  t.same(
    told.measurements.map(({ name, unit }) => `${name} ${unit}`),
    ['mkdir ops/s', 'rmdir ops/s', 'append-100B ops/s', 'open-append-close ops/s'],
  );
  t.ok(told.measurements.every(({ value }) => value > 0 && Number.isFinite(value)));
  t.same(await readdir(directory), ['mine']);
});

t.test('every group finds again what it wrote', async t => {
  const directory = t.testdir({});
  const { code, stdout, stderr } = await bench(directory, '--quick');
  t.equal(code, 0, stderr);
  for (const name of ['seq-write', 'rand-write-4k', 'par-write-4p', 'create-4p', 'untar', 'append-100B']) {
    t.match(stdout, new RegExp(`│ ${name} `), name);
  }
  t.same(await readdir(directory), []);
});

t.test('Ctrl-C leaves nothing behind', async t => {
  const directory = t.testdir({});
  const child = spawn(process.execPath, [inClone('bin/dfs'), 'bench', directory, '--quick'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said: Buffer[] = [];
  child.stderr.on('data', (data: Buffer) => said.push(data));
  const ended = once(child, 'close');
  await waitUntil(async () => (await readdir(directory)).length > 0, { what: 'it is at work' });
  child.kill('SIGINT');
  t.same(await ended, [FAILED, null]);
  t.match(Buffer.concat(said).toString(), /interrupted; what it made is removed\n$/);
  t.same(await readdir(directory), []);
});

t.test('it refuses in one sentence', async t => {
  const directory = t.testdir({ file: '' });
  const refuses = async (parameters: string[], code: number, sentence: RegExp): Promise<void> => {
    const outcome = await bench(...parameters);
    const called = `bench ${parameters.join(' ')}`;
    t.equal(outcome.code, code, called);
    t.match(outcome.stderr, sentence, called);
    t.equal(outcome.stdout, '', called);
    t.notMatch(outcome.stderr, /\n\s+at /, 'no stack trace for a user');
    t.equal(outcome.stderr.trim().split('\n').length, code === WRONG_USAGE ? 2 : 1, outcome.stderr);
  };
  await refuses([], WRONG_USAGE, /an argument is missing|arguments are missing/);
  await refuses([''], WRONG_USAGE, /argument 2 is empty/);
  await refuses([directory, '--only', 'fast'], WRONG_USAGE, /there is no group 'fast'; give some of seq,/);
  await refuses([directory, '--slow'], WRONG_USAGE, /no such option or further argument: slow/);
  await refuses([directory, 'more'], WRONG_USAGE, /no such option or further argument: more/);
  await refuses([join(directory, 'nowhere')], FAILED, /there is no directory .*nowhere$/m);
  await refuses([join(directory, 'file')], FAILED, /file is no directory$/m);
});

t.test('a disk that is too small is not filled', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-small-'));
  t.teardown(async () => await rmdir(directory));
  const mounted = await runFile('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', directory]);
  if (mounted.code !== 0) return void t.pass('only root can make such a disk');
  try {
    const { code, stderr } = await bench(directory, '--quick');
    t.equal(code, FAILED);
    t.match(stderr, /has 8 MiB free, and 160 MiB are needed; free some space$/m);
    t.same(await readdir(directory), []);
  } finally {
    await runFile('umount', [directory]);
  }
});
