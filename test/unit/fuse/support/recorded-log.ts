/** A logger whose lines a test reads. */
import { pino } from 'pino';
import type { Logger } from '../../../../src/platform/log.js';

export interface RecordedLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export function recordedLog(): { readonly log: Logger; readonly lines: readonly RecordedLine[] } {
  const lines: RecordedLine[] = [];
  const formatters = { level: (level: string) => ({ level }) };
  const write = (line: string): void => void lines.push(JSON.parse(line) as RecordedLine);
  return { log: pino({ level: 'debug', formatters }, { write }), lines };
}
