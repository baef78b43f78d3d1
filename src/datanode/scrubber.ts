/**
 * Reads every chunk of the node, slowly, so that a rotten chunk is found while there are other replicas
 * (docs/decisions/06). The position outlives the process.
 */
import { join } from 'node:path';
import { Type, type Static } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { Clock, Timer } from '../platform/clock.js';
import type { Disk } from '../platform/disk.js';
import type { Logger } from '../platform/log.js';
import { hasCode, toDfsError } from '../protocol/errors.js';
import { SafeInteger } from '../protocol/types.js';
import { isNodeDirectory } from './node-identity.js';

const ScrubState = Type.Object({
  /** Chunks up to this id were read in this pass. */
  after: SafeInteger,
  /** When the pass began, in ms since the epoch; 0 before the first. */
  beganMs: SafeInteger,
  /** When a pass was last complete; 0 for never. */
  completedMs: SafeInteger,
});
export type ScrubState = Static<typeof ScrubState>;

export interface ScrubberOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  /** The node's data directory. */
  readonly directory: string;
  /** Milliseconds in which everything is read once; 0 turns it off. */
  readonly periodMs: number;
  /** Every chunk here, ascending. */
  readonly chunkIds: () => Float64Array;
  /** Reads a chunk and checks it; returns its bytes, 0 for one that is gone. Notes by itself what is damaged. */
  readonly verify: (chunk: number) => Promise<number>;
}

const STATE_NAME = 'scrub.json';
const MAX_STATE_BYTES = 4096;
const SAVE_MS = 60_000;
/** The pause after a chunk, and a node that holds nothing is looked at again after. */
const MIN_PAUSE_MS = 5;
const IDLE_MS = 60_000;
/** How often a pass takes in what was stored since it began: otherwise that would wait for the end of the next one. */
const RELIST_MS = 3_600_000;
const NOTHING_DONE: ScrubState = { after: 0, beganMs: 0, completedMs: 0 };

export class Scrubber {
  readonly #options: ScrubberOptions;
  #state: ScrubState = NOTHING_DONE;
  /** Chunks of this pass, and which one is next. */
  #chunks: Float64Array = new Float64Array();
  #next = 0;
  #listedMs = 0;
  #savedMs = 0;
  #timer: Timer | undefined;
  #step: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: ScrubberOptions) {
    this.#options = options;
  }

  get state(): ScrubState {
    return this.#state;
  }

  /** Goes on where an earlier process stopped. */
  async start(): Promise<void> {
    if (this.#options.periodMs === 0) return;
    this.#state = await this.#load();
    this.#schedule(IDLE_MS);
  }

  /** May be called twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#step;
    if (this.#options.periodMs > 0) await this.#save();
  }

  /** Resolves when the chunk that is being read has been. */
  async settled(): Promise<void> {
    await this.#step;
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.setTimer(
      delayMs,
      () => {
        this.#step = this.#run().then(pauseMs => this.#schedule(pauseMs));
      },
      true,
    );
  }

  /** Reads one chunk. Never rejects. Resolves with the pause until the next. */
  async #run(): Promise<number> {
    const { clock, verify, periodMs } = this.#options;
    if (this.#next >= this.#chunks.length && !this.#beginOrEnd()) return IDLE_MS;
    const beganMs = clock.monotonicMs();
    if (beganMs - this.#listedMs > RELIST_MS) this.#list(this.#state.after);
    const chunk = this.#chunks[this.#next] ?? 0;
    if (chunk === 0) return MIN_PAUSE_MS;
    this.#next += 1;
    await verify(chunk);
    this.#state = { ...this.#state, after: chunk };
    if (beganMs - this.#savedMs > SAVE_MS) await this.#save();
    // As many are left as time is: who was stopped for long catches up, no faster than the disk reads.
    const leftMs = Math.max(0, this.#state.beganMs + periodMs - this.#wallMs());
    const pauseMs = leftMs / Math.max(1, this.#chunks.length - this.#next);
    return Math.min(IDLE_MS, Math.max(MIN_PAUSE_MS, pauseMs - (clock.monotonicMs() - beganMs)));
  }

  /** Goes on with a pass, or begins one. Returns whether there is something to read. */
  #beginOrEnd(): boolean {
    const { after, beganMs, completedMs } = this.#state;
    const isResumed = beganMs > 0 && this.#listedMs === 0;
    if (isResumed) this.#list(after);
    if (!isResumed || this.#chunks.length === 0) {
      const nowMs = this.#wallMs();
      if (after > 0) this.#options.log.info('everything was read once');
      const isComplete = beganMs > 0;
      this.#state = { after: 0, beganMs: nowMs, completedMs: isComplete ? nowMs : completedMs };
      this.#list(0);
    }
    return this.#chunks.length > 0;
  }

  /** What this pass still has to read. */
  #list(after: number): void {
    const all = this.#options.chunkIds();
    const from = all.findIndex(chunk => chunk > after);
    this.#chunks = from < 0 ? new Float64Array() : all.subarray(from);
    this.#next = 0;
    this.#listedMs = this.#options.clock.monotonicMs();
  }

  #wallMs(): number {
    return this.#options.clock.now().sec * 1000;
  }

  async #load(): Promise<ScrubState> {
    const { disk, directory, log } = this.#options;
    try {
      const file = await disk.open(join(directory, STATE_NAME), 'existing');
      try {
        const target = Buffer.alloc(MAX_STATE_BYTES);
        const value: unknown = JSON.parse(target.toString('utf8', 0, await file.pread(target, 0)));
        return Value.Check(ScrubState, value) ? value : NOTHING_DONE;
      } finally {
        await file.close();
      }
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) {
        log.warn(
          { reason: toDfsError(error).message },
          'scrubbing begins anew: how far it came cannot be read',
        );
      }
      return NOTHING_DONE;
    }
  }

  /** Never rejects: what is lost is only how far the pass came. */
  async #save(): Promise<void> {
    const { disk, directory, log, clock } = this.#options;
    this.#savedMs = clock.monotonicMs();
    const path = join(directory, STATE_NAME);
    try {
      // A directory that was emptied is to be one in which a node can begin anew.
      if (!(await isNodeDirectory(disk, directory))) return;
      const file = await disk.open(`${path}.new`, 'create');
      try {
        await file.truncate(0);
        await file.writev([Buffer.from(JSON.stringify(this.#state))], 0);
        await file.datasync();
      } finally {
        await file.close();
      }
      await disk.rename(`${path}.new`, path);
    } catch (error) {
      log.warn({ reason: toDfsError(error).message }, 'how far scrubbing came could not be saved');
    }
  }
}
