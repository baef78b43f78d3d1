/** Stores the bytes of one file's flights on data nodes, and gives their memory back afterwards. */
import type { ChunkToStore } from '../client/content/chunk-writer.js';
import type { WrittenChunk } from '../client/content/readable-chunk.js';
import type { TakenIntent } from '../client/log/intent-logs.js';
import { sleep } from '../platform/clock.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { salvageOffset } from './commit-request.js';
import { SMALL_CHUNK_BYTES, type Flight } from './flight.js';
import type { WriterOwner, WriterSurroundings } from './writer-surroundings.js';

/** Pause before what a program was told is written is stored again, when no node took it. */
const STORE_AGAIN_MS = 500;
/** Why no data node is sent what is to be in no file; nobody is told. */
const CUT_AWAY = new DfsError('EINTR', 'the file was truncated before these bytes were stored');

export class FlightStorage {
  readonly #inode: number;
  readonly #shared: WriterSurroundings;
  readonly #owner: Pick<WriterOwner, 'goal'>;
  /** Flights whose bytes are being sent. */
  readonly #sending = new WeakSet<Flight>();
  /** Flights whose bytes may still be in the queue of a connection that did not answer. */
  readonly #unanswered = new WeakSet<Flight>();

  constructor(inode: number, shared: WriterSurroundings, owner: Pick<WriterOwner, 'goal'>) {
    this.#inode = inode;
    this.#shared = shared;
    this.#owner = owner;
  }

  /**
   * Stores a flight's bytes. Rejects with the reason for which no data node has them.
   * @param isPatient nobody waits for it
   */
  async store(flight: Flight, isPatient: boolean): Promise<WrittenChunk> {
    const { gathering, storeLimit } = this.#shared;
    if (!isPatient) return await storeLimit(async () => await this.#storeNow(flight));
    // Small ones need no limit: there are no more of them than files that were closed ahead.
    await gathering.turn();
    flight.setOut();
    return await this.#storeNow(flight);
  }

  /** Nobody needs the flight's bytes any more. */
  free(flight: Flight): void {
    // The next write must not change bytes that a connection still has to send.
    const isReusable = !this.#sending.has(flight) && !this.#unanswered.has(flight);
    if (isReusable) for (const slice of flight.slices) this.#shared.pool.give(slice.blocks);
    this.#shared.budget.release(flight.heldBytes);
  }

  async #storeNow(flight: Flight): Promise<WrittenChunk> {
    const { client, clock } = this.#shared;
    const refusal = (): DfsError | undefined => {
      if (flight.state.is === 'cut') return CUT_AWAY;
      return flight.state.is === 'failed' ? flight.state.reason : undefined;
    };
    const chunk = {
      payload: flight.slices.flatMap(slice => slice.payload()),
      inode: this.#inode,
      fileOffset: salvageOffset(flight.slices),
      durable: flight.isDurable,
      intent: flight.intent && intentOf(flight.intent),
      onNodeFailure: (reason: DfsError) => {
        flight.trouble = reason;
        if (!reason.isAnswer) this.#unanswered.add(flight);
      },
      refusal,
    };
    for (;;) {
      // Given up while it waited for its turn, or for data nodes.
      const refused = refusal();
      if (refused) throw refused;
      this.#sending.add(flight);
      try {
        const stored = await client.writer.store({ ...chunk, goal: this.#owner.goal() });
        // The kernel drops the pages that it has of it as soon as it hears of the file's new time.
        if (flight.bytes <= SMALL_CHUNK_BYTES) client.content.keep(stored.chunk, chunk.payload);
        return stored;
      } catch (error) {
        const reason = toDfsError(error);
        if (reason.code !== 'EIO' || !flight.isAcknowledged) throw reason;
      } finally {
        this.#sending.delete(flight);
      }
      await sleep(clock, STORE_AGAIN_MS);
    }
  }
}

function intentOf({ owner, sequence, change }: TakenIntent): ChunkToStore['intent'] {
  return { nodes: owner.nodes, told: { log: owner.number, sequence, done: owner.done, change } };
}
