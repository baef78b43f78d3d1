/** Many small files made, found, listed and read through one mount, and what its process has in memory meanwhile. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, opendirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MemorySubject } from './memory-subject.js';

const FILES_EACH = 1000;
const LOOK_MS = 1000;
const CONTENT = Buffer.alloc(70, 'x');

export const PHASES = ['make', 'find', 'ls -lR', 'read', 'quiet'] as const;
export type Phase = (typeof PHASES)[number];

export interface Sample {
  readonly subject: string;
  readonly phase: Phase;
  readonly seconds: number;
  readonly mib: number;
  /** Files made, listed or read so far in this phase, as far as that is known. */
  readonly files: number;
}

export interface MemoryResult {
  readonly subject: string;
  readonly samples: readonly Sample[];
  readonly madeFiles: number;
  readonly readFiles: number;
  readonly mostMib: number;
  readonly quietMib: number;
}

export interface MemoryRunOptions {
  readonly name: string;
  readonly files: number;
  /** After so long nothing new is begun. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export class MemoryRun {
  readonly #subject: MemorySubject;
  readonly #options: MemoryRunOptions;
  readonly #samples: Sample[] = [];
  readonly #startMs = performance.now();

  constructor(subject: MemorySubject, options: MemoryRunOptions) {
    this.#subject = subject;
    this.#options = options;
  }

  async measure(): Promise<MemoryResult> {
    const { name, files } = this.#options;
    const directories = Array.from({ length: Math.ceil(files / FILES_EACH) }, (_, index) =>
      join(this.#subject.mountPoint, `d${String(index).padStart(4, '0')}`),
    );
    const madeDirectories = await this.#make(directories);
    for (const phase of ['find', 'ls -lR'] as const) await this.#list(phase);
    const readFiles = await this.#read(directories.slice(0, madeDirectories));
    await this.#quiet();
    const { nowMib, mostMib } = await this.#subject.residentMib();
    const madeFiles = madeDirectories * FILES_EACH;
    return { subject: name, samples: this.#samples, madeFiles, readFiles, mostMib, quietMib: nowMib };
  }

  /** Returns in how many directories the files were made: making may take half of the time. */
  async #make(directories: readonly string[]): Promise<number> {
    for (const [index, directory] of directories.entries()) {
      if (this.#isOver(1 / 2)) return index;
      mkdirSync(directory);
      for (let file = 0; file < FILES_EACH; file += 1) writeFileSync(join(directory, nameOf(file)), CONTENT);
      await this.#look('make', (index + 1) * FILES_EACH);
    }
    return directories.length;
  }

  async #list(phase: 'find' | 'ls -lR'): Promise<void> {
    if (this.#isOver(1)) return;
    const [program, ...flags] = phase === 'find' ? ['find'] : ['ls', '-lR'];
    const parameters = [...flags, this.#subject.mountPoint];
    const child = spawn(program, parameters, { stdio: 'ignore' });
    const watch = setInterval(() => void this.#look(phase, 0), LOOK_MS);
    try {
      await once(child, 'exit');
    } finally {
      clearInterval(watch);
    }
    await this.#look(phase, 0);
  }

  async #read(directories: readonly string[]): Promise<number> {
    let readFiles = 0;
    for (const path of directories) {
      if (this.#isOver(1)) break;
      const directory = opendirSync(path);
      for (let entry = directory.readSync(); entry; entry = directory.readSync()) {
        if (!readFileSync(join(path, entry.name)).equals(CONTENT))
          throw new Error(`${entry.name} is not as it was`);
        readFiles += 1;
      }
      directory.closeSync();
      await this.#look('read', readFiles);
    }
    return readFiles;
  }

  /** Some seconds in which nobody asks for anything. */
  async #quiet(): Promise<void> {
    for (let looks = 0; looks < 10; looks += 1) {
      await new Promise(resolve => {
        setTimeout(resolve, LOOK_MS);
      });
      await this.#look('quiet', 0);
    }
  }

  async #look(phase: Phase, files: number): Promise<void> {
    const { name: subject, signal, say } = this.#options;
    signal.throwIfAborted();
    const seconds = Math.round((performance.now() - this.#startMs) / 100) / 10;
    const { nowMib: mib, mostMib } = await this.#subject.residentMib();
    this.#samples.push({ subject, phase, seconds, mib, files });
    if (files > 0 && files % 50_000 === 0)
      say(`${subject} ${seconds} s ${phase} ${files}: ${mib} MiB, at the most ${mostMib}`);
  }

  #isOver(part: number): boolean {
    return performance.now() - this.#startMs > this.#options.limitMs * part;
  }
}

function nameOf(file: number): string {
  return `file${String(file).padStart(5, '0')}.txt`;
}
