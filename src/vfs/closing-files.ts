/**
 * Files whose close(2) was acknowledged before what was written was committed ("closed ahead"). They stay until it is, and
 * a rename, a recall and the end of the mount wait for that, but not without end.
 */
import { isDoneWithin } from '../platform/clock.js';
import { toDfsError } from '../protocol/errors.js';
import { notStored } from './storage-failures.js';
import type { OpenFile } from './open-file.js';
import type { WriterSurroundings } from './writer-surroundings.js';

/** What close(2) does not wait for: of one file, of how many files, and for how long. */
const MAX_CLOSING_BYTES = 1 << 20;
const MAX_CLOSING_FILES = 256;
const MAX_CLOSING_MS = 500;
/**
 * How long another client waits for data nodes that are away before this client gives up what it has not stored. Less than
 * the metadata server waits before it gives up this client's session.
 */
const RECALL_PATIENCE_MS = 8000;

interface Closing {
  /** When the first of its closes was acknowledged that is not settled. */
  sinceMs: number;
  /** Never rejects. */
  readonly over: Promise<void>;
}

type ClosingFilesOptions = Pick<WriterSurroundings, 'client' | 'clock' | 'timeoutMs' | 'gathering'>;

export class ClosingFiles {
  readonly #options: ClosingFilesOptions;
  readonly #onSettled: (file: OpenFile) => void;
  /** Those that wait longest come first. */
  readonly #closing = new Map<OpenFile, Closing>();

  /** @param onSettled told when everything of a file that was closed ahead is committed, or has failed */
  constructor(options: ClosingFilesOptions, onSettled: (file: OpenFile) => void) {
    this.#options = options;
    this.#onSettled = onSettled;
  }

  has(file: OpenFile): boolean {
    return this.#closing.has(file);
  }

  [Symbol.iterator](): IterableIterator<OpenFile> {
    return this.#closing.keys();
  }

  /** Whether close(2) of a file that has a name need not wait until what was written is committed. */
  mayCloseAhead(file: OpenFile): boolean {
    const { client, clock } = this.#options;
    const { changes, heldLocks } = client.session;
    if (!file.isDirty || !changes.isOpen || !changes.mayOwe(this.#closing.size)) return false;
    // While no node takes anything, close(2) says so.
    if (!client.writer.proof.isProven(file.goal)) return false;
    if (file.pendingBytes > MAX_CLOSING_BYTES) return false;
    if (!changes.hasRoomFor(MAX_CLOSING_BYTES * MAX_CLOSING_FILES)) return false;
    const [oldest] = this.#closing.values();
    const isYoung = !oldest || clock.monotonicMs() - oldest.sinceMs < MAX_CLOSING_MS;
    // The next owner of a lock must find what was written under this one.
    return isYoung && this.#closing.size < MAX_CLOSING_FILES && heldLocks.owners(file.inode).length === 0;
  }

  /**
   * Acknowledges a close: what was written is committed in the background, however long that takes, and its place among this
   * client's changes is here.
   */
  closeAhead(file: OpenFile): void {
    // What goes with an earlier close is settled with it.
    if (file.acknowledge()) this.#stay(file);
  }

  /**
   * The last handle of a file is gone, and the server has not answered the commit of what was written, which it may still refuse.
   * Until it answers, an open of the file finds the bytes here, and a recall waits for them.
   */
  linger(file: OpenFile): void {
    if (!this.#closing.has(file)) this.#stay(file);
  }

  /** Everything that was closed ahead is committed, or has failed. */
  async settled(): Promise<void> {
    this.#options.gathering.setOut();
    await Promise.all([...this.#closing.values()].map(async ({ over }) => await over));
  }

  /**
   * As `settled`, for another client that waits: what no data node takes in time is given up, and reported as every other
   * failure. Never rejects.
   * @param recalled open files, of which everything written is committed as well
   */
  async settledForRecall(recalled: readonly OpenFile[] = []): Promise<void> {
    const { client, gathering } = this.#options;
    gathering.setOut();
    const files = new Set([...this.#closing.keys(), ...recalled.filter(({ isDirty }) => isDirty)]);
    const settled = [...files].map(async file => await file.settledWithin(RECALL_PATIENCE_MS));
    for (const result of await Promise.allSettled(settled)) {
      if (result.status === 'fulfilled') continue;
      const reason = toDfsError(result.reason).message;
      client.log.warn({ reason }, 'what was written is not committed, and another client wants it');
    }
  }

  /**
   * What was closed ahead of one inode, or of all when it is undefined, is committed as far as this client's own requests
   * are concerned. EIO when that takes longer than the timeout.
   */
  async flushed(inode: number | undefined): Promise<void> {
    const files = [...this.#closing.keys()].filter(file => inode === undefined || file.inode === inode);
    if (files.length === 0) return;
    const { clock, timeoutMs } = this.#options;
    const flushed = Promise.all(files.map(async file => await file.flush()));
    if (!(await isDoneWithin(clock, timeoutMs, flushed))) throw notStored(timeoutMs);
  }

  #stay(file: OpenFile): void {
    const earlier = this.#closing.get(file);
    const closedMs = this.#options.clock.monotonicMs();
    const settle = async (): Promise<void> => await file.settled(false);
    const settleNext = async (): Promise<void> => {
      this.#isSettledUntil(file, closedMs);
      await settle();
    };
    const settled = earlier ? earlier.over.then(settleNext) : settle();
    const closing: Closing = {
      sinceMs: earlier?.sinceMs ?? closedMs,
      over: settled.finally(() => {
        if (this.#closing.get(file) !== closing) return;
        this.#closing.delete(file);
        this.#onSettled(file);
      }),
    };
    this.#closing.set(file, closing);
  }

  /** What was closed earlier is settled: a file that is closed again and again is no older than what is left of it. */
  #isSettledUntil(file: OpenFile, ms: number): void {
    const closing = this.#closing.get(file);
    if (!closing) return;
    closing.sinceMs = ms;
    this.#closing.delete(file);
    this.#closing.set(file, closing);
  }
}
