/** Looks at the room that the database has, and takes back what sessions have to themselves while what they acknowledged can still be committed. */
import type { Clock, Timer } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import { toDfsError } from '../protocol/errors.js';
import type { Recalls } from './leases/recalls.js';
import type { StoreRoom } from './store/store.js';

/** Poll interval. What a server writes in this time is less than the margin that the room keeps. */
const LOOK_MS = 250;

export class RoomWatch {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #room: StoreRoom;
  readonly #recalls: Recalls;
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(clock: Clock, log: Logger, room: StoreRoom, recalls: Recalls) {
    this.#clock = clock;
    this.#log = log;
    this.#room = room;
    this.#recalls = recalls;
  }

  start(): void {
    this.#room.onShort = () => void this.#recalls.recallAll();
    this.#schedule();
  }

  /** May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  #schedule(): void {
    if (this.#isClosed) return;
    const look = (): void => {
      this.#looking = this.#look();
    };
    this.#timer = this.#clock.setTimer(LOOK_MS, look, true);
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    try {
      await this.#room.look();
    } catch (error) {
      this.#log.warn({ reason: toDfsError(error).message }, 'the room of the metadata database is not known');
    }
    this.#schedule();
  }
}
