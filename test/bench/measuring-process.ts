/** Programs that measure, as processes of their own: each line of their output is a measurement. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Measurement } from '../../src/cli/bench/measurement.js';

const TAIL_LINES = 10;

export interface MeasuringProcess {
  /** For messages. */
  readonly name: string;
  readonly command: string;
  readonly parameters: readonly string[];
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly onMeasurement: (measurement: Measurement) => void;
}

/** Runs it to its end. Rejects with what it said when it fails, and with the signal's reason. */
export async function runMeasuringProcess(options: MeasuringProcess): Promise<void> {
  const { name, command, parameters, env, signal, onMeasurement } = options;
  signal.throwIfAborted();
  const child = spawn(command, parameters, {
    // A process group of its own: its children end with it, and Ctrl-C does not reach them before us.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: '/',
    env: { ...process.env, ...env },
  });
  const ended = once(child, 'close');
  const end = (): void => endGroup(child.pid);
  signal.addEventListener('abort', end);
  const tail: string[] = [];
  const lines = createInterface({ input: child.stdout });
  const errors = createInterface({ input: child.stderr });
  const keep = (line: string): void => {
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
  };
  errors.on('line', keep);
  lines.on('line', line => {
    keep(line);
    const measurement = parseLine(line);
    if (measurement) onMeasurement(measurement);
  });
  try {
    const [code] = (await ended) as [number | null];
    signal.throwIfAborted();
    if (code !== 0) throw new Error(`${name} failed: ${failureIn(tail)}`);
  } finally {
    signal.removeEventListener('abort', end);
    endGroup(child.pid);
  }
}

/** `name value unit # key=value key=value`; undefined for every other line. */
export function parseLine(line: string): Measurement | undefined {
  const [fields = '', notes = ''] = line.split('#', 2);
  const [name, value, unit, ...rest] = fields.trim().split(/\s+/);
  if (name === undefined || value === undefined || unit === undefined || rest.length > 0) return undefined;
  const number = Number(value);
  if (!Number.isFinite(number)) return undefined;
  const pairs = notes
    .trim()
    .split(/\s+/)
    .filter(text => text.includes('='))
    .map(text => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)] as const);
  return { name, value: number, unit, notes: Object.fromEntries(pairs) };
}

function failureIn(tail: readonly string[]): string {
  return tail.find(line => line.startsWith('FAIL')) ?? tail.join('\n');
}

/** Kills the processes of the group that are left: children that were orphaned, or all at the signal. */
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
