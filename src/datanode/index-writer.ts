/** Brings `index.db` up to date with the index in memory, in the background, never ahead of the synced segments. */
import Database from 'better-sqlite3';
import { nextTurn, type Clock, type Timer } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import { toDfsError } from '../protocol/errors.js';
import type { IndexDatabase } from './index-database.js';
import type { KeptIntents } from './kept-intents.js';
import { newIndex, type IndexPlace } from './recovery.js';
import type { SegmentIndex } from './segment-index.js';
import type { SegmentLog } from './segment-log.js';

/** How far index.db may be behind. More means a longer start after a crash, less means more writing. */
const PERSIST_INDEX_MS = 2000;
/** Changes in one transaction of index.db, which stops the event loop meanwhile. */
const PERSIST_BATCH = 1024;

export interface IndexWriterOptions extends IndexPlace {
  readonly index: SegmentIndex;
  readonly intents: KeptIntents;
  readonly segments: Pick<SegmentLog, 'syncedEnd' | 'failure'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class IndexWriter {
  readonly #options: IndexWriterOptions;
  #database: IndexDatabase;
  /** False when `index.db` was found damaged: then it stays empty, and the next start reads every segment. */
  #isKept = true;
  /** The changes of the intents up to which `index.db` has them. */
  #persistedIntents = -1;
  #timer: Timer | undefined;
  #isClosed = false;

  /** @param database open; closed by close() */
  constructor(database: IndexDatabase, options: IndexWriterOptions) {
    this.#database = database;
    this.#options = options;
  }

  /** Writes within two seconds. */
  wake(): void {
    if (this.#isClosed) return;
    this.#timer ??= this.#options.clock.setTimer(
      PERSIST_INDEX_MS,
      () => {
        this.#timer = undefined;
        void this.#writeInBackground();
      },
      true,
    );
  }

  /** Writes down every change up to where the log is synced. Rejects when SQLite cannot. */
  async write(): Promise<void> {
    const { index, segments } = this.#options;
    const through = segments.syncedEnd;
    for (;;) {
      const entries = index.takeJournal(through, this.#isKept ? PERSIST_BATCH : Infinity);
      const last = entries.at(-1);
      if (!last || !this.#isKept) return;
      const { intents } = this.#options;
      const changes = intents.changes;
      try {
        this.#database.persist(
          entries,
          last.end,
          changes === this.#persistedIntents ? undefined : intents.all(),
        );
        this.#persistedIntents = changes;
      } catch (error) {
        index.returnJournal(entries);
        if (!isDamage(error)) throw error;
        await this.#abandon(error);
      }
      await nextTurn(this.#options.clock);
    }
  }

  /** Writes nothing more. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#database.close();
  }

  /** Never rejects. */
  async #writeInBackground(): Promise<void> {
    if (this.#isClosed) return;
    const { log, index, segments } = this.#options;
    try {
      await this.write();
    } catch (error) {
      if (!this.#isClosed) log.warn({ err: error }, 'index.db could not be written; trying again later');
    }
    if (index.journalLength > 0 && !segments.failure) this.wake();
  }

  async #abandon(cause: unknown): Promise<void> {
    const { log } = this.#options;
    log.error({ reason: toDfsError(cause).message }, 'index.db is damaged; the next start builds it again');
    this.#isKept = false;
    this.#database.close();
    this.#database = await newIndex(this.#options);
    this.#persistedIntents = -1;
  }
}

/** Whether SQLite says that its file is no sound database. */
function isDamage(error: unknown): boolean {
  if (!(error instanceof Database.SqliteError)) return false;
  return error.code === 'SQLITE_NOTADB' || error.code.startsWith('SQLITE_CORRUPT');
}
