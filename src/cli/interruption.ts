/** Ctrl-C and `kill`: the first asks to end in good order, the second ends at once. */

export type EndSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';
const END_SIGNALS: readonly EndSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Calls `onFirst` at the first signal; the second one ends the process, with exit code 1 unless `endAtOnce` does it in
 * another way.
 * @returns stops listening, so that signals do again what they do by default
 */
export function onEndSignal(
  onFirst: (signal: EndSignal) => void,
  endAtOnce: () => void = () => process.exit(1),
): () => void {
  let isSecond = false;
  const listener = (signal: NodeJS.Signals): void => {
    if (isSecond) endAtOnce();
    isSecond = true;
    onFirst(signal as EndSignal);
  };
  for (const signal of END_SIGNALS) process.on(signal, listener);
  return () => {
    for (const signal of END_SIGNALS) process.removeListener(signal, listener);
  };
}
