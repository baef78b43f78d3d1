/** Tables of commands that must fail, and how: one sentence on standard error, and the right exit code. */
import pLimit from 'p-limit';
import type { Test } from 'tap';
import { AS_OTHER_USER } from './other-user.js';
import { inClone, inSharedClone, runFile, type RunOptions } from './programs.js';

const FAILED = 1;
const WRONG_USAGE = 2;
/** A program that waits for something is killed, by its id, and the test fails. */
const DEADLINE_MS = 30_000;
const AT_ONCE = 4;

export interface Refusal {
  /** The program and its arguments, of which none has a blank in it. */
  readonly call: string;
  readonly code: typeof FAILED | typeof WRONG_USAGE;
  /** What the sentence has to say. */
  readonly says: RegExp;
}

/** A command that cannot do what it is asked to. */
export const failed = (call: string, says: RegExp): Refusal => ({ call, code: FAILED, says });

/** A command that is called wrongly. */
export const misused = (call: string, says: RegExp): Refusal => ({ call, code: WRONG_USAGE, says });

/** Runs all, and checks how each ends. `''` stands for an empty argument. */
export async function refuse(
  t: Test,
  refusals: readonly Refusal[],
  { isOtherUser = false, ...options }: RunOptions & { readonly isOtherUser?: boolean },
): Promise<void> {
  const user = isOtherUser ? AS_OTHER_USER : [];

  const limit = pLimit(AT_ONCE);
  const check = async ({ call, code, says }: Refusal): Promise<void> => {
    const [program = '', ...parameters] = call.split(' ').map(word => (word === "''" ? '' : word));
    const path = isOtherUser ? inSharedClone(`bin/${program}`) : inClone(`bin/${program}`);
    const command = [...user, process.execPath, path, ...parameters];
    const outcome = await runFile('env', command, { timeoutMs: DEADLINE_MS, ...options });
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
