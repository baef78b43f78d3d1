/** A bar on standard error; where that is no terminal, nothing is shown. */
import cliProgress, { type Options, type SingleBar } from 'cli-progress';

/** A bar that hides the cursor until it is stopped, or the process ends. */
export function progressBar(options: Options): SingleBar {
  const bar = new cliProgress.SingleBar({ stream: process.stderr, hideCursor: true, ...options });
  process.once('exit', () => bar.stop());
  return bar;
}
