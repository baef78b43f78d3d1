/**
 * Several sessions that write to one inode have it to themselves in turns, each for some milliseconds: what one writes in its turn is
 * committed together, where written through each write would cost as much. Readers wait for no turn: what they need is recalled.
 *
 * In a directory each change begins with a look. So there those who write wait for the turn of another one, whatever they ask, or all turns
 * would end at once. That is worth it only where many names are changed in a turn: after turns in which few were, changes are
 * written through for a while.
 */
import { LRUCache } from 'lru-cache';
import { sleep, type Clock } from '../../platform/clock.js';

/** How long a session has the inode before it is recalled for another one that writes: some hundred small writes. */
const TURN_MS = 20;
/** The same of a directory, where a change takes longer, and so does giving it back: the files that were closed are stored before. */
const DIRECTORY_TURN_MS = 40;
/** A session that has not asked for so long is no writer any more. */
const WRITER_MS = 1000;
/** Inodes whose writers the table remembers. */
const MAX_INODES = 4096;
/** A turn in a directory is worth its price with so many changes. */
const WORTH_CHANGES = 4;
/** So many turns in succession that were not worth it make a pause, */
const VAIN_TURNS = 2;
/** which is longer each time. */
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2000;

interface Turn {
  readonly session: number;
  readonly over: Promise<void>;
  /** Names that it has changed. */
  changes: number;
}

interface Writers {
  /** Resolves when the turns that were asked for before are over. */
  last: Promise<void>;
  /** session → monotonic ms at which it asked last */
  readonly asked: Map<number, number>;
  /** session → the position (changed-names.ts) at which its last turn in a directory began */
  readonly given: Map<number, number>;
  /** In a directory: the newest one. */
  turn: Turn | undefined;
  vainTurns: number;
  pauseMs: number;
  pausedUntilMs: number;
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
    const writers = this.#inodes.get(inode) ?? {
      last: Promise.resolve(),
      asked: new Map<number, number>(),
      given: new Map<number, number>(),
      turn: undefined,
      vainTurns: 0,
      pauseMs: 0,
      pausedUntilMs: Number.NEGATIVE_INFINITY,
    };
    this.#inodes.set(inode, writers);
    for (const [other, askedMs] of writers.asked) {
      if (nowMs - askedMs <= WRITER_MS) continue;
      writers.asked.delete(other);
      writers.given.delete(other);
    }
    writers.asked.set(session, nowMs);
    return writers.asked.size > 1 && nowMs >= writers.pausedUntilMs;
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
      void sleep(this.#clock, writers.turn ? DIRECTORY_TURN_MS : TURN_MS).then(isOver);
    }
  }

  /** A session's turn in a directory is about to begin, all of the one before it being committed. Returns whether turns are worth it. */
  begin(session: number, directory: number): boolean {
    const writers = this.#inodes.get(directory);
    if (!writers) return true;
    judge(writers, this.#clock.monotonicMs());
    if (this.#clock.monotonicMs() < writers.pausedUntilMs) return false;
    const turn = { session, over: sleep(this.#clock, DIRECTORY_TURN_MS), changes: 0 };
    writers.turn = turn;
    return true;
  }

  /** The session's turn in a directory begins at a position. Returns that at which its last one began, if that is known. */
  given(session: number, directory: number, at: number): number | undefined {
    const given = this.#inodes.peek(directory)?.given;
    const before = given?.get(session);
    given?.set(session, at);
    return before;
  }

  /** Names in the directory were changed by the session. */
  noteChanges(session: number | undefined, directory: number, names: number): void {
    const turn = this.#inodes.peek(directory)?.turn;
    if (turn && turn.session === session) turn.changes += names;
  }

  /** Resolves when no other session has its turn in one of the directories in which this one writes, too. */
  async others(session: number | undefined, directories: readonly number[]): Promise<void> {
    for (const directory of directories) {
      const writers = this.#inodes.peek(directory);
      if (!writers?.turn || session === undefined || writers.turn.session === session) continue;
      if (writers.asked.has(session)) await writers.turn.over;
    }
  }
}

/** Whether the last turn was worth it. */
function judge(writers: Writers, nowMs: number): void {
  const { turn } = writers;
  writers.turn = undefined;
  if (!turn) return;
  if (turn.changes >= WORTH_CHANGES) {
    writers.vainTurns = 0;
    writers.pauseMs = 0;
    return;
  }
  writers.vainTurns += 1;
  if (writers.vainTurns < VAIN_TURNS) return;
  writers.pauseMs = Math.min(MAX_PAUSE_MS, Math.max(FIRST_PAUSE_MS, 2 * writers.pauseMs));
  writers.pausedUntilMs = nowMs + writers.pauseMs;
}
