/**
 * The one thing that happens at a time. Everything in a simulated cluster waits for an event here: a message that
 * arrives, a timer, a disk that has finished. The clock stands still while anything can run, and then jumps to the next
 * event, so that the same seed gives the same run, event by event.
 */
import type { Timer } from '../../../src/platform/clock.js';

/** A process that events belong to: those of a dead one never come, those of a stopped one come when it goes on. */
export interface Life {
  readonly name: string;
  isDead: boolean;
  /** Simulated ms until which the process does not run, as after SIGSTOP. */
  stoppedUntilMs: number;
}

interface Event {
  atMs: number;
  readonly order: number;
  readonly label: string;
  readonly life: Life | undefined;
  run: (() => void) | undefined;
}

/** More turns of the event loop than this without time going on is a loop that never ends. */
const MAX_TURNS = 100_000;

export class Scheduler {
  nowMs = 0;
  /** Events so far. */
  count = 0;
  /** Told of each event. */
  onEvent: ((line: string) => void) | undefined;
  readonly #heap: Event[] = [];
  #order = 0;
  /** Turns that were asked for and have not come. */
  #turns = 0;
  #hash = 0x811c9dc5;

  /** A hash over everything that happened so far, and when. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /** Puts something that happened into the trace. */
  note(line: string): void {
    let hash = this.#hash;
    for (let at = 0; at < line.length; at += 1) hash = Math.imul(hash ^ line.charCodeAt(at), 0x01000193);
    this.#hash = hash;
    this.onEvent?.(`${this.nowMs.toFixed(3)} ${line}`);
  }

  /** Calls `run` in `delayMs`, unless `life` has ended by then. */
  after(delayMs: number, label: string, life: Life | undefined, run: () => void): Timer {
    this.#order += 1;
    const event: Event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order, label, life, run };
    this.#push(event);
    return { cancel: () => (event.run = undefined) };
  }

  /** Calls `callback` in a turn of its own, before time goes on. */
  atNextTurn(callback: () => void): void {
    this.#turns += 1;
    setImmediate(() => {
      this.#turns -= 1;
      callback();
    });
  }

  /** Lets things happen until `isDone`, or until `untilMs`; returns whether it is done. */
  async run(isDone: () => boolean, untilMs: number): Promise<boolean> {
    await this.#settle();
    while (!isDone()) {
      const event = this.#pop();
      if (!event) return false;
      if (event.atMs > untilMs) {
        this.#push(event);
        this.nowMs = untilMs;
        return false;
      }
      if (this.#happen(event)) await this.#settle();
    }
    return true;
  }

  #happen(event: Event): boolean {
    const { run, life } = event;
    if (!run || life?.isDead === true) return false;
    this.nowMs = Math.max(this.nowMs, event.atMs);
    if (life && life.stoppedUntilMs > this.nowMs) {
      event.atMs = life.stoppedUntilMs;
      this.#push(event);
      return false;
    }
    this.count += 1;
    this.#hash = Math.imul(this.#hash ^ (this.nowMs * 1000), 0x01000193);
    this.note(life ? `${life.name} ${event.label}` : event.label);
    event.run = undefined;
    run();
    return true;
  }

  /** Waits until every promise is settled that can be, and every callback has run that is ready. */
  async #settle(): Promise<void> {
    let turns = 0;
    do {
      await new Promise<void>(resolve => {
        setImmediate(resolve);
      });
      turns += 1;
      if (turns > MAX_TURNS) throw new Error('the cluster runs without time going on');
    } while (this.#turns > 0);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (!parent || isBefore(parent, event)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const left = heap[below];
      const right = heap[below + 1];
      let child = left;
      if (left && right && isBefore(right, left)) {
        child = right;
        below += 1;
      }
      if (!child || isBefore(last, child)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
