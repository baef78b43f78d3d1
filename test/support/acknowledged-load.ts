/** A program that changes files on a mount, and knows exactly which changes were acknowledged (acknowledged.py). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { inClone, shell } from './programs.js';
import { waitUntil } from './wait-until.js';

const PROGRAM = inClone('test/support/acknowledged.py');
const PROGRESS_MS = 60_000;
const CHECK_MS = 120_000;

export interface LoadOptions {
  /** The mount on which it works, in a directory of its own. */
  readonly mountPoint: string;
  /** A local directory for its mirror and its state. */
  readonly directory: string;
  readonly name: string;
  readonly seed: number;
}

export class AcknowledgedLoad {
  readonly name: string;
  readonly #options: LoadOptions;
  readonly #mirror: string;
  readonly #state: string;
  #exit: Promise<number | null> | undefined;
  #kill: () => void = () => undefined;
  /** How often it was started: each run goes on with other names. */
  #runs = 0;

  constructor(t: Test, options: LoadOptions) {
    this.name = options.name;
    this.#options = options;
    this.#mirror = join(options.directory, `${options.name}-mirror`);
    this.#state = join(options.directory, `${options.name}-state`);
    t.teardown(() => this.#kill());
  }

  /** Begins, or goes on in a directory of its own. */
  async start(): Promise<void> {
    this.#runs += 1;
    await mkdir(this.#state, { recursive: true });
    for (const name of ['stop', 'count']) await rm(join(this.#state, name), { force: true });
    await mkdir(this.#mirror, { recursive: true });
    const { mountPoint, name, seed } = this.#options;
    const child = spawn(
      'python3',
      [PROGRAM, 'run', join(mountPoint, name), this.#mirror, this.#state, String(seed), `run${this.#runs}`],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    this.#kill = () => child.kill('SIGKILL');
    this.#exit = once(child, 'exit').then(([code]: (number | null)[]) => code ?? null);
  }

  /** Changes of this run that were acknowledged. */
  get count(): number {
    const path = join(this.#state, 'count');
    return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
  }

  /** Changes that programs saw fail, one line each. */
  get failures(): string[] {
    const path = join(this.#state, 'failures');
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  }

  /** Resolves when so many more changes were acknowledged. */
  async advance(by: number): Promise<void> {
    const target = this.count + by;
    await waitUntil(() => this.count >= target, {
      deadlineMs: PROGRESS_MS,
      what: `${this.name} makes ${by} more changes`,
    });
  }

  /** Ends it after the change that is under way. */
  async stop(): Promise<void> {
    await writeFile(join(this.#state, 'stop'), '');
    const code = await this.#exit;
    if (code !== 0) throw new Error(`${this.name} ended with exit code ${code}`);
  }

  /** Compares everything that was acknowledged with what a mount shows. Returns how many files that are. */
  async check(mountPoint: string): Promise<number> {
    const mounted = join(mountPoint, this.name);
    const command = `python3 ${PROGRAM} check ${mounted} ${this.#mirror} ${this.#state}`;
    return Number(await shell(command, { timeoutMs: CHECK_MS }));
  }
}
