/** The context that every group of workloads gets. */
import type { Measurement } from './measurement.js';
import { countOf, secondsOf, type Outcome } from './outcome.js';
import { runProgram, type ProgramOptions, type ProgramResult } from './programs.js';
import type { Sizes } from './sizes.js';
import type { Workers } from './workers.js';

/** Makes the next measurement a cold one, as far as that is possible. */
export type MakeCold = () => Promise<void>;

export interface BenchParts {
  /** An empty directory in the file system that is measured. */
  readonly directory: string;
  /** A local one, for what is copied from. */
  readonly scratch: string;
  readonly sizes: Sizes;
  readonly workers: Workers;
  /** Undefined where caches cannot be dropped, so that nothing cold can be measured. */
  readonly makeCold: MakeCold | undefined;
  readonly signal: AbortSignal;
  /** Is told of each measurement when it is done. */
  readonly onMeasurement: (measurement: Measurement) => void;
  /** Is told what was left out, and why. */
  readonly onNote: (sentence: string) => void;
}

const MEGABYTE = 1e6;
const NO_NOTES = {};

export class Bench {
  readonly directory: string;
  readonly scratch: string;
  readonly sizes: Sizes;
  readonly workers: Workers;
  readonly note: (sentence: string) => void;
  readonly #parts: BenchParts;

  constructor(parts: BenchParts) {
    this.#parts = parts;
    this.directory = parts.directory;
    this.scratch = parts.scratch;
    this.sizes = parts.sizes;
    this.workers = parts.workers;
    this.note = parts.onNote;
  }

  /** A path in the directory that is measured. */
  path(name: string): string {
    return `${this.directory}/${name}`;
  }

  /** Runs a program that is not measured, or whose time the caller takes. */
  async program(
    file: string,
    parameters: readonly string[],
    options: ProgramOptions = {},
  ): Promise<ProgramResult> {
    return await runProgram(file, parameters, { ...options, signal: this.#parts.signal });
  }

  /** Waits until everything that was written is stored, so that it does not disturb what comes. */
  async settle(): Promise<void> {
    await this.program('sync', []);
  }

  /** Drops caches where that is possible. */
  async freshen(): Promise<void> {
    await this.settle();
    await this.#parts.makeCold?.();
  }

  /** Does `work`, which measures, with cold caches; leaves it out where there can be none. */
  async cold(work: () => Promise<void>): Promise<void> {
    if (!this.#parts.makeCold) return;
    await this.freshen();
    await work();
  }

  /** Megabytes a second, of tasks that count bytes. */
  reportBytes(name: string, outcomes: readonly Outcome[]): void {
    this.#report(name, countOf(outcomes) / MEGABYTE / secondsOf(outcomes), 'MB/s');
  }

  /** Operations a second. */
  reportRate(name: string, unit: string, outcomes: readonly Outcome[]): void {
    this.#report(name, countOf(outcomes) / secondsOf(outcomes), unit, percentiles(outcomes));
  }

  reportSeconds(name: string, seconds: number): void {
    this.#report(name, seconds, 's');
  }

  #report(name: string, value: number, unit: string, notes: Measurement['notes'] = NO_NOTES): void {
    this.#parts.onMeasurement({ name, value, unit, notes });
  }
}

function percentiles(outcomes: readonly Outcome[]): Measurement['notes'] {
  const all = outcomes.flatMap(({ latenciesUs }) => [...(latenciesUs ?? [])]);
  if (all.length === 0) return NO_NOTES;
  all.sort((a, b) => a - b);
  const at = (share: number): string => `${(all[Math.floor(all.length * share)] ?? 0).toFixed(0)}us`;
  return { p50: at(0.5), p99: at(0.99) };
}
