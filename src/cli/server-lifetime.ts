/** Servers run until a signal ends them. */
import { allowGarbage } from '../platform/garbage-allowance.js';
import { serveFirst } from '../platform/priority.js';
import type { Logger } from '../platform/log.js';
import { onEndSignal } from './interruption.js';
import { ServiceManager } from './service-manager.js';

/** There are several servers on a machine, and each has this. */
const GARBAGE = { most: 32 << 20, least: 32 << 20 };

interface Server {
  start(): Promise<void>;
  close(): Promise<void>;
  /** Resolves with the reason when it cannot go on. */
  readonly broken?: Promise<Error>;
}

/**
 * Runs `server` until SIGINT, SIGTERM or SIGHUP, then closes it, and tells the service manager both. Rejects when it cannot start or
 * not close, and with its reason when it cannot go on.
 */
export async function runUntilSignal(server: Server, log: Logger): Promise<void> {
  dieOfUnexpectedErrors(log);
  allowGarbage(GARBAGE);
  serveFirst(log);
  const manager = new ServiceManager();
  let end: () => void = () => undefined;
  const ended = new Promise<void>(resolve => (end = resolve));
  const stopListening = onEndSignal(signal => {
    log.info({ signal }, 'stopping');
    end();
  });
  let failure: Error | undefined;
  void ended.then(async () => await manager.stopping());
  void server.broken?.then(reason => {
    failure = reason;
    end();
  });
  try {
    // A signal while it is still starting must not wait for a metadata server that is away.
    await Promise.race([server.start().then(async () => await manager.ready()), ended]);
    await ended;
  } finally {
    await server.close();
    stopListening();
  }
  if (failure) throw failure;
  log.info('stopped');
}

/** A process that does not know its own state any more must not go on; whoever watches it starts it again. */
export function dieOfUnexpectedErrors(log: Logger, endAtOnce: () => void = () => process.exit(1)): void {
  const die = (error: unknown): void => {
    log.fatal({ err: error }, 'ending because of a mistake in DFS; please report it');
    endAtOnce();
  };
  for (const event of ['uncaughtException', 'unhandledRejection']) process.removeAllListeners(event);
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
}
