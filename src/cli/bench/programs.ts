/** Programs that are timed as with time(1). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { DfsError, toDfsError } from '../../protocol/errors.js';

export interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

export interface ProgramResult {
  readonly seconds: number;
  readonly stdout: string;
}

/**
 * Runs a program to its end. ENOENT when it is not installed; EIO with what it said when it fails; the signal's reason
 * when it is interrupted.
 */
export async function runProgram(
  file: string,
  parameters: readonly string[],
  { env, signal }: ProgramOptions = {},
): Promise<ProgramResult> {
  signal?.throwIfAborted();
  const startMs = performance.now();
  const child = spawn(file, parameters, { env, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = (): void => void child.kill('SIGKILL');
  signal?.addEventListener('abort', stop);
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (data: Buffer) => stdout.push(data));
  child.stderr.on('data', (data: Buffer) => stderr.push(data));
  try {
    const [code, by] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    const seconds = (performance.now() - startMs) / 1000;
    signal?.throwIfAborted();
    // Ctrl-C reaches everything that the terminal runs, perhaps before it reaches us.
    if (by === 'SIGINT' || by === 'SIGTERM') throw new DfsError('EINTR', `${file} was interrupted`);
    if (code !== 0) {
      const said = Buffer.concat(stderr).toString().trim().split('\n').at(-1) ?? '';
      throw new DfsError('EIO', `${[file, ...parameters].join(' ')}: ${said || `exit code ${code ?? by}`}`);
    }
    return { seconds, stdout: Buffer.concat(stdout).toString() };
  } catch (error) {
    signal?.throwIfAborted();
    throw toDfsError(error);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
