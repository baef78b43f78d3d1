/** Waiting for what a program says, which it may not live to say. */
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

const DEADLINE_MS = 30_000;

/** Resolves when the program writes to its stdout next. Rejects when it ends first, or takes too long. */
export async function nextOutput(child: ChildProcess & { readonly stdout: Readable }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      child.stdout.off('data', onData);
      child.off('exit', onExit);
      if (error) reject(error);
      else resolve();
    };
    const onData = (): void => settle();
    const onExit = (code: number | null): void =>
      settle(new Error(`${child.spawnargs.join(' ')} ended with exit code ${code} and said nothing`));
    const timer = setTimeout(
      () => settle(new Error(`${child.spawnargs.join(' ')} said nothing for ${DEADLINE_MS} ms`)),
      DEADLINE_MS,
    );
    child.stdout.once('data', onData);
    child.once('exit', onExit);
  });
}
