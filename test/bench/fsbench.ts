/** fsbench as a process: its sizes go into the environment, its measurements come as lines. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Measurement } from '../../src/cli/bench/measurement.js';
import type { Sizes } from '../../src/cli/bench/sizes.js';
import type { Subject } from './subject.js';
import type { WorkloadOptions } from './workloads.js';

const MIB = 2 ** 20;
/** Not workloads, and accounted elsewhere. */
const SUMS: ReadonlySet<string> = new Set(['total', 'daemon-rss', 'other-cpu']);
const TAIL_LINES = 10;

/** Measures a subject. Rejects with what fsbench said when it fails, and with the signal's reason. */
export async function runFsbench(path: string, subject: Subject, options: WorkloadOptions): Promise<void> {
  const { groups, signal, onMeasurement } = options;
  signal.throwIfAborted();
  const child = spawn('python3', [path, '--only', groups.join(','), subject.directory], {
    // A process group, so that its children can be ended with it, and Ctrl-C does not reach them before us.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: '/',
    env: { ...process.env, ...environmentOf(subject, options) },
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
    if (measurement && !SUMS.has(measurement.name)) onMeasurement(measurement);
  });
  try {
    const [code] = (await ended) as [number | null];
    signal.throwIfAborted();
    if (code !== 0) throw new Error(`fsbench failed: ${failureIn(tail)}`);
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

function environmentOf(subject: Subject, { sizes, scratch }: WorkloadOptions): NodeJS.ProcessEnv {
  const numbers = Object.entries(fsbenchSizes(sizes)).map(([name, value]) => [name, String(value)]);
  return {
    ...(Object.fromEntries(numbers) as NodeJS.ProcessEnv),
    REMOUNT: subject.remount,
    CPU_COMM: subject.executables.join(' '),
    CPU_PIDS: '',
    KEEP: '0',
    SCRATCH: scratch,
  };
}

function fsbenchSizes(sizes: Sizes): Record<string, number> {
  return {
    BIG_MB: sizes.bigBytes / MIB,
    RR_MB: sizes.randomBytes / MIB,
    RR_SECS: sizes.randomReadSeconds,
    RW_OPS: sizes.randomWrites,
    RW_CAP: sizes.randomWriteSeconds,
    FSYNC_SECS: sizes.fsyncSeconds,
    PAR: sizes.parallel,
    PAR_MB: sizes.parallelBytes / MIB,
    NFILES: sizes.files,
    NDIRS: sizes.directories,
    FSIZE: sizes.fileBytes,
    NMKDIR: sizes.mkdirs,
    TREE_FILES: sizes.treeFiles,
    APPENDS: sizes.appends,
    REOPENS: sizes.reopens,
  };
}

/** What is left of it: a child that was orphaned, or all of it when it is to end. */
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
