/** What the commands for the local cluster say, and how they say that they are called. */
import { callingScript, callingScriptName, withoutCallingScript } from '../called-as.js';

/** How the user calls the commands for this cluster, for hints. */
export interface Calls {
  readonly up: string;
  readonly status: string;
  readonly down: string;
  /** `up` with another mount point. */
  upAt(mountPoint: string): string;
}

/** By the script that the user has called, else by `dfs local`; with DFS_HOME before it where that is set. */
export function calls(): Calls {
  const { DFS_HOME = '' } = process.env;
  const home = DFS_HOME === '' ? '' : `DFS_HOME=${quoted(DFS_HOME)} `;
  const script = callingScript();
  if (script !== undefined) {
    const call = `${home}${script}`;
    return {
      up: call,
      status: `${call} --status`,
      down: `${call} --down`,
      upAt: mountPoint => `${call} ${mountPoint}`,
    };
  }
  const call = `${home}dfs local`;
  return {
    up: `${call} up`,
    status: `${call} status`,
    down: `${call} down`,
    upAt: mountPoint => `${call} up ${mountPoint}`,
  };
}

/** As a shell reads it back. */
function quoted(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Tells the user something that is wrong, but ends nothing. */
export function warn(sentence: string): void {
  process.stderr.write(`${callingScriptName() ?? 'dfs local'}: ${sentence}\n`);
}

/**
 * The environment of the servers and the mount: this process's, with the cluster's home and key as absolute paths. A service manager
 * that waits for this process is not told when they are ready.
 */
export function serviceEnvironment(home: string, keyFile: string): NodeJS.ProcessEnv {
  const { DFS_KEY_FILE = '', NOTIFY_SOCKET: _socket, ...env } = withoutCallingScript(process.env);
  return { ...env, DFS_HOME: home, ...(DFS_KEY_FILE === '' ? {} : { DFS_KEY_FILE: keyFile }) };
}
