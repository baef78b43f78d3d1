/**
 * The servers as a commit queue sees them, scripted: nothing happens until the test says so, and every byte of the file is
 * known by the number of the flight that wrote it last.
 */
import type { WrittenChunk } from '../../../../src/client/content/readable-chunk.js';
import type { DfsError } from '../../../../src/protocol/errors.js';
import { BlockPool } from '../../../../src/vfs/block-pool.js';
import { CommitQueue, type CommitPeer, type PlacedCommit } from '../../../../src/vfs/commit-queue.js';
import type { Flight, WrittenSlices } from '../../../../src/vfs/flight.js';
import { Slice } from '../../../../src/vfs/write-buffer.js';

const pool = new BlockPool(1 << 20);
const NOW = { sec: 1_700_000_000, nsec: 0 };

/** Runs of bytes, each as its offset and length; sorted. */
export type Runs = readonly (readonly [offset: number, length: number])[];

/** What a flight of these runs is made of. */
export function written(runs: Runs, manner: Partial<WrittenSlices> = {}): WrittenSlices {
  const slices = runs.map(([offset, length]) => {
    const slice = new Slice(offset);
    slice.append(Buffer.alloc(length), pool);
    return slice;
  });
  const times = { mtime: NOW, lastWrite: NOW };
  const plain = { isDurable: false, isAppending: false, privilegeLoss: undefined, isThrough: false };
  return { slices, ...times, ...plain, ...manner };
}

/** The test decides what comes of it. */
interface Pending {
  readonly succeed: () => void;
  readonly refuse: (reason: DfsError) => void;
}

export interface PendingStore extends Pending {
  readonly flight: Flight;
}

export interface PendingCommit extends Pending {
  readonly batch: readonly Flight[];
  /** The connection broke: the request is sent again, unless it must not be. */
  readonly sendAgain: () => void;
}

export class ScriptedCommits implements CommitPeer {
  readonly queue: CommitQueue;
  /** Whether this client may commit ahead. */
  mayGoAhead: (batch: readonly Flight[]) => boolean = () => false;
  onQuiesce: () => void = () => undefined;
  readonly stores: PendingStore[] = [];
  /** Committed ahead and not answered, in the order of the log. */
  readonly log: PendingCommit[] = [];
  /** What the server is being asked. */
  asked: PendingCommit | undefined;
  readonly failures: DfsError[] = [];
  readonly freed: Flight[] = [];
  /** Commits as they left, by the numbers of their flights; those ahead are marked. */
  readonly left: string[] = [];
  /** The places that they had in the log of changes. */
  readonly orders: (number | undefined)[] = [];
  /** What was seen that must not be. */
  readonly violations: string[] = [];
  /** By the server's word: the number of the flight that wrote each byte. */
  readonly content: number[] = [];
  grantsForgotten = 0;
  #drains: { readonly last: PendingCommit; readonly resolve: () => void }[] = [];
  #chunks = 0;
  readonly #flights: Flight[] = [];

  constructor() {
    this.queue = new CommitQueue(this);
  }

  landed(): void {
    // Nobody was shown anything here.
  }

  /** @param isPatient nobody waits for it */
  add(runs: Runs, manner?: Partial<WrittenSlices>, isPatient = false): Flight {
    const flight = this.queue.add(written(runs, manner), isPatient);
    this.#flights.push(flight);
    return flight;
  }

  /** Answers the oldest entry of the log. */
  answerLog(reason?: DfsError): void {
    const entry = this.log.shift();
    if (!entry) throw new Error('nothing is in the log');
    if (reason && entry.batch.length > 0) entry.refuse(reason);
    else entry.succeed();
    const resolved = this.#drains.filter(({ last }) => last === entry);
    this.#drains = this.#drains.filter(({ last }) => last !== entry);
    for (const { resolve } of resolved) resolve();
  }

  /** The file is truncated, by a change that goes into the log; the server does what the log says, in its order. */
  cut(size: number): void {
    this.queue.cut(size);
    const succeed = (): void => void this.content.splice(size);
    const never = (): void => undefined;
    this.log.push({ batch: [], succeed, refuse: never, sendAgain: never });
  }

  async store(flight: Flight): Promise<WrittenChunk> {
    return await new Promise<WrittenChunk>((resolve, reject) => {
      const succeed = (): void => {
        this.#chunks += 1;
        const readable = {
          chunk: this.#chunks,
          length: flight.bytes,
          checksum: 0,
          nodes: [1],
          readGrant: '',
        };
        // A queue looks at none of it.
        resolve({ ...readable, grant: {} } as unknown as WrittenChunk);
      };
      this.stores.push({ flight, succeed, refuse: reject });
    });
  }

  forgetGrants(): void {
    this.grantsForgotten += 1;
  }

  async quiesce(): Promise<void> {
    this.onQuiesce();
  }

  commitAhead(
    { batch, place }: PlacedCommit,
    answered: () => void,
    refused: (reason: DfsError) => void,
  ): boolean {
    if (!this.mayGoAhead(batch)) return false;
    this.#checkLeaving(batch);
    this.left.push(`${numbersOf(batch)} ahead`);
    this.orders.push(place?.order);
    const apply = this.#request(batch);
    this.log.push({
      batch,
      succeed: () => {
        apply();
        answered();
      },
      refuse: refused,
      sendAgain: () => undefined,
    });
    return true;
  }

  async drained(): Promise<void> {
    const last = this.log.at(-1);
    if (last) await new Promise<void>(resolve => this.#drains.push({ last, resolve }));
  }

  async commit({ batch, place }: PlacedCommit, refusal: () => DfsError | undefined): Promise<void> {
    this.#checkLeaving(batch);
    this.left.push(numbersOf(batch));
    this.orders.push(place?.order);
    const apply = this.#request(batch);
    // A request goes out when the server has all that is in the log.
    await this.drained();
    await new Promise<void>((resolve, reject) => {
      const over = (): void => (this.asked = undefined);
      this.asked = {
        batch,
        succeed: () => {
          over();
          apply();
          resolve();
        },
        refuse: reason => {
          over();
          reject(reason);
        },
        sendAgain: () => {
          const reason = refusal();
          if (!reason) return;
          over();
          reject(reason);
        },
      };
    });
  }

  uncommitted(): void {
    // Nothing is shown.
  }

  failed(reason: DfsError): void {
    this.failures.push(reason);
    if (reason.message.startsWith('internal error')) this.violations.push(reason.message);
  }

  free(flight: Flight): void {
    if (this.freed.includes(flight)) this.violations.push(`flight ${flight.number} is freed twice`);
    this.freed.push(flight);
  }

  /** Both invariants of the queue, whenever a commit leaves. */
  #checkLeaving(batch: readonly Flight[]): void {
    const first = batch[0]?.number ?? 0;
    if (batch.some(({ number }, index) => number < (batch[index - 1]?.number ?? 0)))
      this.violations.push(`${numbersOf(batch)} leave together`);
    for (const { number, state } of this.#flights) {
      const isPassed = !['committed', 'failed', 'cut', 'ahead'].includes(state.is);
      if (number < first && isPassed)
        this.violations.push(`${numbersOf(batch)} leaves before ${number}, which is ${state.is}`);
    }
    for (const { batch: ahead } of this.log)
      for (const flight of batch)
        for (const other of ahead)
          if (doOverlap(flight, other))
            this.violations.push(`${flight.number} leaves while ${other.number} below it is not answered`);
  }

  /** What the server does with a request: of each flight, what was to be committed when the request was made. */
  #request(batch: readonly Flight[]): () => void {
    const runs = batch.flatMap(({ number, slices }) =>
      slices.map(({ offset, end }) => ({ number, offset, end })),
    );
    if (batch.some(({ isEmpty }) => isEmpty))
      this.violations.push(`${numbersOf(batch)} has nothing to commit`);
    return () => {
      for (const { number, offset, end } of runs) {
        for (let at = offset; at < end; at += 1) {
          if ((this.content[at] ?? 0) > number)
            this.violations.push(`${number} lands on ${this.content[at]} at ${at}`);
          this.content[at] = number;
        }
      }
    };
  }
}

/** Lets everything happen that nobody decides. */
export async function rest(): Promise<void> {
  await new Promise<void>(resolve => {
    setImmediate(resolve);
  });
}

function numbersOf(batch: readonly Flight[]): string {
  return batch.map(({ number }) => number).join('+');
}

function doOverlap(a: Flight, b: Flight): boolean {
  return a.slices.some(one => b.slices.some(two => one.offset < two.end && two.offset < one.end));
}
