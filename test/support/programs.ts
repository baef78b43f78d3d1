/** The programs of this clone and of the system, run as a user runs them: in processes of their own, under a deadline. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import '../../src/platform/supported-node.js';

const CLONE = fileURLToPath(new URL('../../../', import.meta.url));
const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 64 << 20;
/**
 * tap loads itself into every child process, to write down in the clone what it ran: that takes a fourth of a command's time, and not
 * every user may write there. It sets the environment as late as it can, so it is taken out later still.
 */
export const WITHOUT_TAP = ['env', '--unset=NODE_OPTIONS'] as const;
/** How timeout(1) ends after SIGKILL. */
const KILLED_EXIT_CODE = 137;

export interface RunOptions {
  /** Default a minute. */
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Set where the clone stands at SHARED_CLONE as well (open-fuse-device.ts). */
export const IN_NAMESPACE = 'DFS_TEST_IN_NAMESPACE';
export const SHARED_CLONE = '/media';

/** The same file by a path on which nothing is private, where there is one. */
export function inSharedClone(path: string): string {
  return process.env[IN_NAMESPACE] === undefined ? inClone(path) : `${SHARED_CLONE}/${path}`;
}

/** The absolute path of a file of this clone. */
export function inClone(path: string): string {
  return `${CLONE}${path}`;
}

/** The environment for DFS's programs: state goes to `home`, and none of the user's settings holds, except which Node runs. */
export function environmentFor(home: string): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('DFS_') || name === 'DFS_NODE');
  return { ...Object.fromEntries(own), DFS_HOME: home };
}

/**
 * Runs a program to its end and returns how it ended. It is killed with its children when the time is over, which
 * throws, as does a program that is not there. timeout(1) does the killing, so that a mount that hangs cannot hang this
 * process.
 */
export async function runFile(
  file: string,
  parameters: readonly string[],
  { timeoutMs = DEFAULT_TIMEOUT_MS, env, cwd }: RunOptions = {},
): Promise<Outcome> {
  const guarded = ['-s', 'KILL', (timeoutMs / 1000).toFixed(3), ...WITHOUT_TAP, file, ...parameters];
  return await new Promise((resolve, reject) => {
    const options = { encoding: 'utf8', maxBuffer: MAX_OUTPUT_BYTES, env, cwd } as const;
    execFile('timeout', guarded, options, (error, stdout, stderr) => {
      const code = error ? error.code : 0;
      const isOver = error?.signal === 'SIGKILL' || code === KILLED_EXIT_CODE;
      if (isOver) {
        reject(new Error(`${[file, ...parameters].join(' ')} took over ${timeoutMs} ms: ${stdout}${stderr}`));
      } else if (typeof code === 'number') {
        resolve({ code, stdout, stderr });
      } else {
        reject(error ?? new Error(`${file} did not run`));
      }
    });
  });
}

/** Runs a bash script that stops at the first error; returns its output, or throws with what it said. */
export async function shell(script: string, options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await runFile('bash', ['-euo', 'pipefail', '-c', script], options);
  if (code !== 0) throw new Error(`exit code ${code} of: ${script}\n${stdout}${stderr}`);
  return stdout.trim();
}
