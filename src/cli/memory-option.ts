/** Options that bound a process's memory. */
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { parseBytes } from './quantity.js';
import { UsageError } from './usage-error.js';

const MIN_CACHE_BYTES = 4 << 20;

/** V8 ends a process whose heap grows beyond its limit, and other things are there besides. */
const HEAP_PART = 3 / 4;

export interface MemoryOption {
  /** As it is typed, for what is said of it: `--dirty`. */
  readonly name: string;
  readonly defaultBytes: number;
  readonly minBytes: number;
  readonly describe: string;
}

/** An option whose value is bytes of memory: no fewer than make sense, and no more than the process can have. */
export function memoryOption({ name, defaultBytes, minBytes, describe }: MemoryOption) {
  return {
    type: 'string',
    requiresArg: true,
    default: `${defaultBytes / (1 << 20)}M`,
    coerce: (text: string): number => parseMemory(text, name, minBytes),
    describe,
  } as const;
}

/** --cache-size, which bounds what a program keeps in memory; its value is bytes. */
export function cacheSizeOption(defaultBytes: number, describe: string) {
  return memoryOption({ name: '--cache-size', defaultBytes, minBytes: MIN_CACHE_BYTES, describe });
}

/** @throws UsageError when it is no size, or not within bounds */
function parseMemory(text: string, name: string, minBytes: number): number {
  const bytes = parseBytes(text);
  if (bytes < minBytes) throw new UsageError(`${name} has to be at least ${minBytes >> 20}M`);
  const maxBytes = mostBytes();
  if (bytes <= maxBytes) return bytes;
  throw new UsageError(
    `${name} ${text} is more than this process can keep, ${Math.floor(maxBytes / (1 << 20))}M: half of the machine's ` +
      "memory, or three quarters of V8's heap, which NODE_OPTIONS=--max-old-space-size=MEGABYTES enlarges",
  );
}

/** Half of the memory of the machine, or of the container, but no more than V8's heap holds. */
function mostBytes(): number {
  const constrained = process.constrainedMemory();
  const memory = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(Math.min(memory / 2, getHeapStatistics().heap_size_limit * HEAP_PART));
}
