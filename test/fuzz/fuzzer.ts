/**
 * Feeds one decoder with inputs from a seed: those of the corpus, valid ones that it makes, and changes of both. What reaches code
 * that was not reached before is changed further. A run fails when the decoder
 *
 * - throws what it may not throw, or does not keep a promise (`decode`);
 * - is slow, or asks for far more memory than the input is long; one that does not come to an end is for watchdog.ts;
 * - leaves memory behind.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { SeededRandom } from '../simulation/world/seeded-random.js';
import { Coverage } from './coverage.js';
import { MAX_INPUT_BYTES, type Decoder } from './decoder.js';
import { mutate } from './mutations.js';

/** After so many inputs it is looked whether any reached something new. */
const BATCH = 128;
const MAX_POOL = 2000;
/** An input that takes longer, four times, is a failure. */
const SLOW_MS = 500;
const ATTEMPTS = 4;
/** What decoding may allocate: something, and so much for each byte. */
const SPARE_BYTES = 16 << 20;
const BYTES_PER_BYTE = 1000;
/** What may be left of the memory of all inputs, besides what the fuzzer keeps itself. */
const MAX_LEFT_BYTES = 24 << 20;

export interface FuzzRun {
  readonly decoder: Decoder;
  readonly seed: number;
  readonly forMs: number;
  readonly corpus: readonly Buffer[];
  /** Told of each input before it is fed. */
  readonly onInput: (input: Buffer) => void;
}

export interface FuzzFailure {
  readonly input: Buffer;
  readonly reason: string;
}

export interface FuzzResult {
  readonly inputs: number;
  /** Of them, those that were decoded; the others were refused as they should be. */
  readonly accepted: number;
  /** Functions and blocks that were reached one after the other. */
  readonly reached: number;
  /** Inputs that reached something new. */
  readonly kept: readonly Buffer[];
  readonly failure: FuzzFailure | undefined;
}

export async function fuzz(run: FuzzRun): Promise<FuzzResult> {
  const fuzzer = new Fuzzer(run);
  return await fuzzer.run();
}

/** What is wrong with how the decoder takes this input; undefined when nothing is. */
export async function faultOf(decoder: Decoder, input: Buffer): Promise<string | undefined> {
  let fault: string | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const before = process.cpuUsage();
    const { thrown, ms, allocatedBytes } = await feed(decoder, input);
    // Another program may have had the processor.
    const { user, system } = process.cpuUsage(before);
    const busyMs = Math.min(ms, (user + system) / 1000);
    if (thrown !== undefined) {
      if (decoder.mayThrow(thrown)) fault = undefined;
      else return thrown instanceof Error ? (thrown.stack ?? thrown.message) : 'it threw what is no Error';
    }
    const most = SPARE_BYTES + BYTES_PER_BYTE * input.length;
    if (busyMs > SLOW_MS) fault = `it took ${busyMs.toFixed(0)} ms`;
    else if (allocatedBytes > most)
      fault = `it allocated ${allocatedBytes} bytes for an input of ${input.length}`;
    // An earlier input may have left garbage: then it is another time not so.
    else return undefined;
  }
  return fault;
}

interface Fed {
  readonly thrown: unknown;
  readonly ms: number;
  readonly allocatedBytes: number;
}

async function feed(decoder: Decoder, input: Buffer): Promise<Fed> {
  // The decoder may keep views of it, and the fuzzer changes its own.
  const own = Buffer.from(input);
  const beforeBytes = memoryBytes();
  const beganMs = performance.now();
  let thrown: unknown;
  try {
    const decoding = decoder.decode(own);
    // Most do not wait for anything, and a turn of the event loop for each would double the time.
    if (decoding) await decoding;
  } catch (error) {
    thrown = error;
  }
  const ms = performance.now() - beganMs;
  return { thrown, ms, allocatedBytes: memoryBytes() - beforeBytes };
}

/** What objects and buffers take; garbage counts until it is collected. */
function memoryBytes(): number {
  const { used_heap_size: heapBytes, external_memory: bufferBytes } = getHeapStatistics();
  return heapBytes + bufferBytes;
}

class Fuzzer {
  readonly #options: FuzzRun;
  readonly #random: SeededRandom;
  readonly #coverage = new Coverage();
  readonly #pool: Buffer[];
  readonly #kept: Buffer[] = [];
  #inputs = 0;
  #accepted = 0;

  constructor(options: FuzzRun) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#pool = [...options.corpus];
  }

  async run(): Promise<FuzzResult> {
    const { corpus, forMs } = this.#options;
    const collect = garbageCollector();
    this.#coverage.start();
    try {
      const untilMs = performance.now() + forMs;
      let failure: FuzzFailure | undefined;
      for (const input of corpus) failure ??= await this.#feed(input);
      this.#coverage.takeNew();
      let settledBytes: number | undefined;
      while (!failure && performance.now() < untilMs) {
        failure = await this.#batch();
        // By now everything has been loaded and compiled.
        if (settledBytes === undefined && performance.now() > untilMs - forMs / 2) {
          collect();
          settledBytes = process.memoryUsage().heapUsed - this.#ownBytes;
        }
      }
      collect();
      const leftBytes =
        process.memoryUsage().heapUsed - this.#ownBytes - (settledBytes ?? Number.POSITIVE_INFINITY);
      if (leftBytes > MAX_LEFT_BYTES)
        failure ??= {
          input: Buffer.alloc(0),
          reason: `${leftBytes} bytes of memory were left behind by all inputs together`,
        };
      const { reached } = this.#coverage;
      return { inputs: this.#inputs, accepted: this.#accepted, reached, kept: this.#kept, failure };
    } finally {
      this.#coverage.stop();
    }
  }

  /** What the fuzzer itself keeps; buffers count in no heap. */
  get #ownBytes(): number {
    return this.#pool.length * 200;
  }

  async #batch(): Promise<FuzzFailure | undefined> {
    const batch: Buffer[] = [];
    for (let index = 0; index < BATCH; index += 1) {
      const input = await this.#next();
      batch.push(input);
      const failure = await this.#feed(input);
      if (failure) return failure;
    }
    if (this.#coverage.hasNew()) {
      await this.#keepNew(batch);
      // What another turn of the same inputs did not reach again counts as well.
      for (const input of batch) await feed(this.#options.decoder, input);
      this.#coverage.takeNew();
    }
    return undefined;
  }

  /** Finds those of the inputs that reach something new, by halves. */
  async #keepNew(inputs: readonly Buffer[]): Promise<void> {
    const { decoder } = this.#options;
    this.#coverage.hasNew();
    for (const input of inputs) await feed(decoder, input);
    const [first] = inputs;
    if (inputs.length === 1 && first) {
      if (this.#coverage.takeNew()) this.#keep(first);
    } else if (this.#coverage.hasNew()) {
      const middle = inputs.length >> 1;
      await this.#keepNew(inputs.slice(0, middle));
      await this.#keepNew(inputs.slice(middle));
    }
  }

  #keep(input: Buffer): void {
    this.#kept.push(input);
    if (this.#pool.length < MAX_POOL) this.#pool.push(input);
    else this.#pool[this.#random.integer(0, MAX_POOL)] = input;
  }

  async #feed(input: Buffer): Promise<FuzzFailure | undefined> {
    const { decoder, onInput } = this.#options;
    onInput(input);
    this.#inputs += 1;
    const { thrown, ms, allocatedBytes } = await feed(decoder, input);
    if (thrown === undefined) this.#accepted += 1;
    const isSuspect =
      (thrown !== undefined && !decoder.mayThrow(thrown)) ||
      ms > SLOW_MS ||
      allocatedBytes > SPARE_BYTES + BYTES_PER_BYTE * input.length;
    const reason = isSuspect ? await faultOf(decoder, input) : undefined;
    return reason === undefined ? undefined : { input, reason };
  }

  async #next(): Promise<Buffer> {
    const random = this.#random;
    const { decoder } = this.#options;
    const { words = [], maxInputBytes = MAX_INPUT_BYTES } = decoder;
    const isMade = this.#pool.length === 0 || random.isChance(0.3);
    const base = isMade ? await decoder.make(random) : random.pick(this.#pool);
    if (isMade && random.isChance(0.3)) return base;
    const changed = mutate(base, random, { pool: this.#pool, words }, maxInputBytes);
    return decoder.mend && random.isChance(0.5) ? decoder.mend(changed) : changed;
  }
}

/** V8's, which a flag makes callable. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
