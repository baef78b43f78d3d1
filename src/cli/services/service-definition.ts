import type { LogEntry } from './service-log.js';

/** A process that is to run in the background of this machine. */
export interface ServiceDefinition {
  /** Unique in its run directory; it names the record there. */
  readonly name: string;
  /** The program, by its absolute path, and its arguments. */
  readonly argv: readonly [string, ...string[]];
  /** Absolute. What the process says is added at the end. */
  readonly logFile: string;
  /** What it works on, for people. */
  readonly directory: string;
  /**
   * Looks at each line of its log since the start: the address at which the service is reached if the line says that it is
   * ready, else undefined.
   */
  readonly readyAddress: (entry: LogEntry) => string | undefined;
}
