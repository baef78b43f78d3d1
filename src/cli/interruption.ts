/** Ctrl-C and `kill`: the first asks to end in good order, the second ends at once. */

export type EndSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';
const END_SIGNALS: readonly EndSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** What is called at a signal as long as nothing else listens. */
let endByDefault: (() => void) | undefined;

function listen(listener: (signal: EndSignal) => void): () => void {
  const each = (signal: NodeJS.Signals): void => listener(signal as EndSignal);
  for (const signal of END_SIGNALS) process.on(signal, each);
  return () => {
    for (const signal of END_SIGNALS) process.removeListener(signal, each);
  };
}

/** Calls `end`, which ends the process, at the first signal that comes while onEndSignal() does not listen. */
export function endAtSignals(end: () => void): void {
  endByDefault = end;
  listen(() => endByDefault?.());
}

/**
 * Calls `onFirst` at the first signal; the second one ends the process, with exit code 1 unless `endAtOnce` does it in
 * another way.
 * @returns stops listening, so that signals do again what they do by default
 */
export function onEndSignal(
  onFirst: (signal: EndSignal) => void,
  endAtOnce: () => void = () => process.exit(1),
): () => void {
  const byDefault = endByDefault;
  endByDefault = undefined;
  let isSecond = false;
  const stop = listen(signal => {
    if (isSecond) endAtOnce();
    isSecond = true;
    onFirst(signal);
  });
  return () => {
    stop();
    endByDefault = byDefault;
  };
}
