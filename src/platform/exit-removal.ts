/** Files that must not outlive the process. */
import { rmSync } from 'node:fs';

/**
 * Removes files, or directories with all that is in them, when the process calls process.exit(), unless that is taken
 * back before.
 * @returns takes it back
 */
export function removeAtExit(...paths: readonly string[]): () => void {
  const remove = (): void => {
    for (const path of paths) rmSync(path, { recursive: true, force: true });
  };
  process.once('exit', remove);
  return () => process.removeListener('exit', remove);
}
