/** By which name the user has called this program, where a script stands before it. */
import { basename } from 'node:path';

/** Set by a script that passes its user's command on, to how it was called. */
const VARIABLE = 'DFS_CALLED_AS';

/** How the user called the script that started this program, e.g. `./mount.sh`; undefined where there is none. */
export function callingScript(): string | undefined {
  const called = process.env[VARIABLE] ?? '';
  return called === '' ? undefined : called;
}

/** The script's name, with which messages to its user begin. */
export function callingScriptName(): string | undefined {
  const called = callingScript();
  return called === undefined ? undefined : basename(called);
}

/** An environment for processes that the user has not called by that script. */
export function withoutCallingScript(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { [VARIABLE]: _called, ...rest } = env;
  return rest;
}
