/** Commands that cannot do what they are asked to: one sentence on standard error, the right exit code, nothing left. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import t, { type Test } from 'tap';
import { environmentFor, inClone, runFile, type RunOptions } from '../support/programs.js';

const FAILED = 1;
const WRONG_USAGE = 2;
/** Nothing listens there. */
const NOBODY = '127.0.0.1:1';
/** None of them waits for anything; a program that does is killed, by its id, and the test fails. */
const DEADLINE_MS = 30_000;
const AT_ONCE = 4;

interface Refusal {
  /** The program and its arguments; none of them has a blank in it. */
  readonly call: string;
  readonly code: typeof FAILED | typeof WRONG_USAGE;
  /** What the sentence has to say. */
  readonly says: RegExp;
}

const failed = (call: string, says: RegExp): Refusal => ({ call, code: FAILED, says });

/** Runs all, and checks how each ends. */
async function refuse(t: Test, refusals: readonly Refusal[], options: RunOptions): Promise<void> {
  const limit = pLimit(AT_ONCE);
  const check = async ({ call, code, says }: Refusal): Promise<void> => {
    const [program = '', ...parameters] = call.split(' ');
    const outcome = await runFile(process.execPath, [inClone(`bin/${program}`), ...parameters], {
      timeoutMs: DEADLINE_MS,
      ...options,
    });
    const { stderr } = outcome;
    t.equal(outcome.code, code, call);
    t.match(stderr, says, call);
    t.equal(outcome.stdout, '', `${call}: standard output`);
    t.notMatch(stderr, /^\s+at /m, `${call}: no stack trace`);
    t.notMatch(stderr, /\binode \d/, `${call}: no inode number`);
    const hint = code === WRONG_USAGE ? /\nTry '[^\n]* --help'\.\n$/ : /\n$/;
    t.match(stderr, hint, `${call}: its end`);
    t.notMatch(stderr.replace(hint, ''), /\n/, `${call}: one sentence`);
  };
  await Promise.all(refusals.map(refusal => limit(async () => await check(refusal))));
}

async function scratchDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-cli-errors-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  await mkdir(join(directory, 'home'));
  return directory;
}

t.test('no command tries for ever to make a directory where there can be none', async t => {
  const scratch = await scratchDirectory(t);
  const cannot = /cannot make the directory \/proc\/\S+: \/proc is there, but nothing can be made in it/;
  await refuse(
    t,
    [
      failed('createdb --db /proc/a/b/c', cannot),
      failed('data-node 127.0.0.1 0 /proc/d 1 --log-level silent', cannot),
      failed(`dfs mount ${NOBODY} /proc/foo --log-level silent`, cannot),
      failed(`dfs mount ${NOBODY} ${scratch}/mnt --background --log-file /proc/a/b`, cannot),
      failed('dfs load /etc/passwd --db /proc/x/y', cannot),
      failed(`dfs recover --from ${NOBODY} --db /proc/x/y`, cannot),
    ],
    { env: environmentFor(join(scratch, 'home')) },
  );
});
