/** A user who is neither root nor the owner of any file. */
import { inSharedClone, runFile } from './programs.js';

/** Nobody, as Debian has it. */
export const OTHER_USER = 65_534;

/** Before a command that this user is to run. */
export const AS_OTHER_USER: readonly string[] = [
  'setpriv',
  `--reuid=${OTHER_USER}`,
  `--regid=${OTHER_USER}`,
  '--clear-groups',
];

/** Why no command can be run as this user, for a test to be skipped; undefined when it can. */
export async function whyNotOtherUser(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root can be another user';
  const { code } = await runFile('env', [...AS_OTHER_USER, 'test', '-r', inSharedClone('bin/dfs')]);
  return code === 0 ? undefined : 'this clone is closed to other users';
}
