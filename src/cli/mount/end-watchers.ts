/** The side of the process that serves a mount to those that wait for its end (end-watch.ts), by the messages of protocol/take-over.ts. */
import type { LocalMessages } from '../../platform/local-messages.js';
import { toDfsError } from '../../protocol/errors.js';
import { encodeFailure, PredecessorMessage } from '../../protocol/take-over.js';

type Told = Parameters<typeof PredecessorMessage.encode>[0];

export class EndWatchers {
  /** Their connections stay until this process ends, which tells that it has, or until they go. */
  readonly #watchers = new Set<LocalMessages>();
  /** What was told last, for those that come later. */
  #last: Told = { say: 'watching' };

  /** Takes in one that has said `watch`. Never rejects. */
  async add(watcher: LocalMessages): Promise<void> {
    this.#watchers.add(watcher);
    const drop = (): void => {
      this.#watchers.delete(watcher);
      watcher.close();
    };
    // It has nothing more to say: what comes is that it has gone.
    watcher.receive().then(drop, drop);
    await send(watcher, { say: 'watching' });
    if (this.#last.say !== 'watching') await send(watcher, this.#last);
  }

  /** Never rejects. */
  async tell(message: Told): Promise<void> {
    this.#last = message;
    await Promise.all([...this.#watchers].map(async watcher => await send(watcher, message)));
  }

  /** Tells how `closing` ends, and ends as it does. Watchers of a mount that was handed over have been told so. */
  async tellEnd(closing: Promise<void>): Promise<void> {
    try {
      await closing;
      if (this.#last.say !== 'handed over') await this.tell({ say: 'ended' });
    } catch (error) {
      await this.tell({ say: 'ended', failure: encodeFailure(toDfsError(error)) });
      throw error;
    }
  }
}

/** To one that may be gone. */
async function send(watcher: LocalMessages, message: Told): Promise<void> {
  await watcher.send(PredecessorMessage.encode(message)).catch(() => undefined);
}
