/** The system's user that the servers of a machine run as. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chown, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { makeDirectories } from '../../platform/make-directories.js';
import { DfsError, hasCode } from '../../protocol/errors.js';
import type { MachineLayout } from './machine-layout.js';

const run = promisify(execFile);
/** How getent(1) ends when there is no such user. */
const NOT_FOUND = 2;
const STATE_MODE = 0o750;

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The account of that name; it is made if there is none, as a user who cannot log in. EIO when it cannot be made. */
export async function serviceAccount(name: string, home: string): Promise<Account> {
  const found = await findAccount(name);
  if (found) return found;
  try {
    await run('useradd', [
      '--system',
      '--user-group',
      '--home-dir',
      home,
      '--no-create-home',
      '--shell',
      '/usr/sbin/nologin',
      name,
    ]);
  } catch (error) {
    const reason = hasCode(error, 'ENOENT') ? 'there is no useradd' : lastLine(error);
    throw new DfsError(
      'EIO',
      `cannot make the user ${name} that the servers run as (${reason}); make it, and try again`,
    );
  }
  const made = await findAccount(name);
  if (made) return made;
  throw new DfsError('EIO', `the user ${name} was made and is not there; make it, and try again`);
}

async function findAccount(name: string): Promise<Account | undefined> {
  let line: string;
  try {
    line = (await run('getent', ['passwd', name])).stdout;
  } catch (error) {
    if (hasExit(error, NOT_FOUND)) return undefined;
    if (!hasCode(error, 'ENOENT')) throw error;
    // A system without getent(1) has its users in this file.
    line =
      readFileSync('/etc/passwd', 'utf8')
        .split('\n')
        .find(each => each.startsWith(`${name}:`)) ?? '';
  }
  const [, , uid, gid] = line.trim().split(':');
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

function hasExit(error: unknown, code: number): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function lastLine(error: unknown): string {
  const text = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
  return text.trim().split('\n').at(-1) ?? '';
}

/** Makes the directory of the servers' state, as the account's own. What is put there for them is theirs, too (identity-files.ts). */
export async function prepareState({ state }: MachineLayout, { uid, gid }: Account): Promise<void> {
  await makeDirectories(state, STATE_MODE);
  if ((await stat(state)).uid !== uid) await chown(state, uid, gid);
}
