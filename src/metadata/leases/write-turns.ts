/**
 * Several sessions that write to one inode have it to themselves in turns, each for some milliseconds: what one writes in its turn is
 * committed together, where written through each write would cost as much. Readers wait for no turn: what they need is recalled.
 */
import { LRUCache } from 'lru-cache';
import { sleep, type Clock } from '../../platform/clock.js';

/** How long a session has the inode before it is recalled for another one that writes: some hundred small writes. */
const TURN_MS = 20;
/** A session that has not asked for so long is no writer any more. */
const WRITER_MS = 1000;
/** Inodes whose writers the table remembers. */
const MAX_INODES = 4096;

interface Writers {
  /** Resolves when the turns that were asked for before are over. */
  last: Promise<void>;
  /** session → monotonic ms at which it asked last */
  readonly asked: Map<number, number>;
}

export class WriteTurns {
  readonly #clock: Clock;
  readonly #inodes = new LRUCache<number, Writers>({ max: MAX_INODES });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The session is about to write. Returns whether another one is doing so, too, so that they take turns. */
  isShared(session: number, inode: number): boolean {
    const nowMs = this.#clock.monotonicMs();
    const writers = this.#inodes.get(inode) ?? { last: Promise.resolve(), asked: new Map<number, number>() };
    this.#inodes.set(inode, writers);
    for (const [other, askedMs] of writers.asked)
      if (nowMs - askedMs > WRITER_MS) writers.asked.delete(other);
    writers.asked.set(session, nowMs);
    return writers.asked.size > 1;
  }

  /** Does `take`, which gives the session the inode, when its turn has come; the next turn comes a while after that. */
  async take<Result>(inode: number, take: () => Promise<Result>): Promise<Result> {
    const writers = this.#inodes.get(inode);
    if (!writers) return await take();
    const before = writers.last;
    let isOver: () => void = () => undefined;
    writers.last = new Promise<void>(resolve => (isOver = resolve));
    try {
      await before;
      return await take();
    } finally {
      void sleep(this.#clock, TURN_MS).then(isOver);
    }
  }
}
