/** The log of a service: JSON lines as platform/log.ts writes them, and whatever else the process says. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { hasCode } from '../../protocol/errors.js';

/** What a line of a log says. */
export type LogEntry = Readonly<Record<string, unknown>>;

/** pino's numbers. */
const LEVELS: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [10, 'trace'],
  [20, 'debug'],
  [30, 'info'],
  [40, 'warn'],
  [50, 'error'],
  [60, 'fatal'],
]);
export const ERROR_LEVEL = 50;
const READ_BYTES = 64 << 10;
/** The end of a log that is shown to people is looked for in so many bytes. */
const TAIL_BYTES = 256 << 10;

/** The length of a log, in bytes; 0 when there is none yet. */
export function logLength(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Reads the lines that are added to a log. */
export class LogFollower {
  readonly #path: string;
  #position: number;
  #rest = Buffer.alloc(0);

  /** @param position where it begins, in bytes */
  constructor(path: string, position: number) {
    this.#path = path;
    this.#position = position;
  }

  /** The whole lines that were added since the last call. */
  readLines(): string[] {
    const lines: string[] = [];
    for (const piece of readFrom(this.#path, this.#position)) {
      this.#position += piece.length;
      const text = Buffer.concat([this.#rest, piece]);
      const end = text.lastIndexOf('\n') + 1;
      this.#rest = text.subarray(end);
      if (end > 0) lines.push(...text.toString('utf8', 0, end - 1).split('\n'));
    }
    return lines;
  }
}

function* readFrom(path: string, start: number): Generator<Buffer> {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  try {
    for (let position = start; ;) {
      const buffer = Buffer.alloc(READ_BYTES);
      const length = readSync(descriptor, buffer, 0, READ_BYTES, position);
      if (length === 0) return;
      position += length;
      yield buffer.subarray(0, length);
    }
  } finally {
    closeSync(descriptor);
  }
}

/** What a line says, if it is one of platform/log.ts. */
export function parseLogLine(line: string): LogEntry | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === 'object' && entry !== null ? { ...entry } : undefined;
  } catch {
    // What a process says before it has a log, or beside it.
    return undefined;
  }
}

/**
 * For people: the last `count` lines that a log has behind its first `mark` bytes, without those of our own log that are
 * below `leastLevel`.
 */
export function readableTail(path: string, mark: number, count: number, leastLevel = 0): string[] {
  const start = Math.max(mark, logLength(path) - TAIL_BYTES);
  const text = Buffer.concat([...readFrom(path, start)]).toString();
  const shown = text.split('\n').flatMap(line => readable(line, leastLevel));
  return shown.slice(-count);
}

function readable(line: string, leastLevel: number): string[] {
  const entry = parseLogLine(line);
  if (!entry) return line.trim() === '' ? [] : [line];
  const { time, level, msg, name: _name, pid: _pid, err, ...more } = entry;
  if (typeof level === 'number' && level < leastLevel) return [];
  const reason =
    typeof err === 'object' && err !== null && 'message' in err ? `: ${String(err.message)}` : '';
  const details = Object.keys(more).length === 0 ? '' : ` ${JSON.stringify(more)}`;
  return [`${String(time)} ${LEVELS.get(level) ?? String(level)} ${String(msg)}${reason}${details}`];
}
