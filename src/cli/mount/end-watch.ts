/** Waits until the process that serves a mount has stored everything and has ended (end-watchers.ts is its side). */
import { isDoneWithin, type Clock } from '../../platform/clock.js';
import type { LocalMessages } from '../../platform/local-messages.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { decodeFailure, PredecessorMessage, SuccessorMessage } from '../../protocol/take-over.js';
import type { MountEntry } from '../../fuse/mount-table.js';
import { contactServing } from './control-socket.js';

/** How long the process may take to answer, and to end when it has said that everything is stored. */
const STEP_MS = 15_000;

type Said = ReturnType<typeof PredecessorMessage.decode>;

export class EndWatch {
  readonly #mount: MountEntry;
  readonly #userId: number;
  readonly #clock: Clock;
  #messages: LocalMessages;

  private constructor(messages: LocalMessages, mount: MountEntry, userId: number, clock: Clock) {
    this.#messages = messages;
    this.#mount = mount;
    this.#userId = userId;
    this.#clock = clock;
  }

  /** Begins before the mount is unmounted. Undefined when nobody answers who serves a mount of the user `userId`. */
  static async begin(mount: MountEntry, userId: number, clock: Clock): Promise<EndWatch | undefined> {
    const messages = await watching(mount, userId, clock);
    return messages && new EndWatch(messages, mount, userId, clock);
  }

  /**
   * Whether everything is stored, and the process has ended: false when the kernel's connection is still there after `patienceMs`, since
   * something else holds it. EIO and others when not everything could be stored, or the process has ended without a word.
   * @param patienceMs left out: the connection has ended
   */
  async ended(patienceMs?: number): Promise<boolean> {
    let said = await this.#unmounted(patienceMs);
    while (said && said.say !== 'ended') {
      if (said.say === 'handed over') await this.#follow();
      said = await this.#next();
    }
    if (!said) return false;
    if (said.failure) throw decodeFailure(said.failure);
    await this.#closed();
    return true;
  }

  /** May be called twice. */
  close(): void {
    this.#messages.close();
  }

  /** What is said first; undefined when nothing is. */
  async #unmounted(patienceMs: number | undefined): Promise<Said | undefined> {
    const first = this.#next();
    if (patienceMs === undefined || (await isDoneWithin(this.#clock, patienceMs, first))) return await first;
    first.catch(() => undefined);
    return undefined;
  }

  async #next(): Promise<Said> {
    try {
      return PredecessorMessage.decode(await this.#messages.receive());
    } catch (error) {
      throw toDfsError(error).within('not known whether everything that was written is stored');
    }
  }

  async #follow(): Promise<void> {
    this.close();
    const messages = await watching(this.#mount, this.#userId, this.#clock);
    if (!messages)
      throw new DfsError(
        'EIO',
        'another process has taken the mount over, and cannot be asked whether everything that was written is stored',
      );
    this.#messages = messages;
  }

  /** The connection closes with the process. */
  async #closed(): Promise<void> {
    await this.#messages.receive(STEP_MS).catch(() => undefined);
  }
}

/** Undefined when nobody answers, or somebody who does not know the question: a DFS older than it. */
async function watching(mount: MountEntry, userId: number, clock: Clock): Promise<LocalMessages | undefined> {
  const contact = await contactServing(mount, userId, clock);
  if (!contact) return undefined;
  const { messages } = contact;
  try {
    await messages.send(SuccessorMessage.encode({ say: 'watch' }));
    const said = PredecessorMessage.decode(await messages.receive(STEP_MS));
    if (said.say === 'watching') return messages;
  } catch {
    // It has ended, or hangs.
  }
  messages.close();
  return undefined;
}
