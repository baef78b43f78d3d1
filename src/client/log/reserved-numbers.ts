/** Numbers for new inodes, which the metadata server reserves for this client: what it makes with them is its own. */
import { MAX_RESERVED_INODES } from '../../protocol/limits.js';
import type { ReplyOf } from '../../protocol/command.js';
import type { hold } from '../../protocol/session-commands.js';
import type { HeldInodes } from '../leases/held-inodes.js';

/** With fewer numbers than this, more are asked for. */
const FEW_NUMBERS = MAX_RESERVED_INODES / 2;

const NO_NUMBERS = { next: 0, end: 0, ticket: 0 };

/** Taken before numbers are asked for. */
export interface NumbersTicket {
  readonly voids: number;
  readonly held: number;
}

export class ReservedNumbers {
  readonly #held: HeldInodes;
  #numbers: { next: number; end: number; readonly ticket: number } = NO_NUMBERS;
  /** Grows whenever every number is void: so is an answer from before that. */
  #voids = 0;

  constructor(held: HeldInodes) {
    this.#held = held;
  }

  /** A number for a new inode, if there is one. */
  take(): number | undefined {
    while (this.#numbers.next < this.#numbers.end) {
      const number = this.#numbers.next;
      this.#numbers.next += 1;
      // One that somebody else has asked about is not this client's.
      if (this.#held.mayGive(this.#numbers.ticket, number)) return number;
    }
    return undefined;
  }

  /** How many the server should be asked for. */
  get wanted(): number {
    return this.#numbers.end - this.#numbers.next < FEW_NUMBERS ? MAX_RESERVED_INODES : 0;
  }

  /** No number is this client's any more; the next answer brings others. */
  void(): void {
    this.#voids += 1;
    this.#numbers = NO_NUMBERS;
  }

  ticket(): NumbersTicket {
    return { voids: this.#voids, held: this.#held.ticket() };
  }

  /** Takes what the server answered, unless it is void by now. */
  learn(inodes: ReplyOf<typeof hold>['inodes'], { voids, held }: NumbersTicket): void {
    if (inodes && voids === this.#voids) {
      this.#numbers = { next: inodes.first, end: inodes.first + inodes.count, ticket: held };
    }
  }
}
