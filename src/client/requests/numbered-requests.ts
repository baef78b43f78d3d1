/**
 * Requests that change something, each executed once however often it is sent: it carries the session and a sequence
 * number, and the server remembers its answer until the client says that it has it (docs/decisions/04).
 */
import type { Static, TSchema } from '@sinclair/typebox';
import type { Changes, Command } from '../../protocol/command.js';
import { DfsError } from '../../protocol/errors.js';
import type { Changed } from '../../protocol/session-commands.js';
import type { Once } from '../../protocol/types.js';
import { changedTold, type MetadataCaches } from '../caches/metadata-caches.js';
import type { Acquisition } from '../leases/acquisition.js';
import type { ServerSession } from '../session/server-session.js';
import type { Requests } from './requests.js';
import type { ChangedInodes, UnsyncedChanges } from './unsynced-changes.js';

/** How a numbered request is sent. */
export interface NumberedOptions {
  /**
   * For what was acknowledged to a program earlier: why it must not be sent (again), if it must not. Nor is it done under a
   * later session, since others may have gone on without it.
   */
  readonly refusal?: (() => DfsError | undefined) | undefined;
  /** Asked when the server has stayed away for the session's timeout: whether to go on waiting. */
  readonly isPatient?: (() => boolean) | undefined;
  /** What it changes is not known before it is answered. */
  readonly isNews: boolean;
  /** The sequence of the batch right behind which it comes: EAGAIN unless that is done as a whole. */
  readonly afterBatch?: number | undefined;
  /** Asked when it is sent: inodes that go back to the server with it (HeldInodes.recall). */
  readonly returned?: (() => readonly number[] | undefined) | undefined;
  /** Told the sequence before the request is sent. */
  readonly numbered?: ((sequence: number) => void) | undefined;
}

export interface NumberedRequestsOptions {
  readonly server: ServerSession;
  readonly requests: Requests;
  readonly unsynced: UnsyncedChanges;
  readonly caches: MetadataCaches;
  /** Told of each reply. */
  readonly acquisition: Acquisition;
  /** That of the last request of an earlier process, whose session this is. */
  readonly sequence?: number | undefined;
}

export class NumberedRequests {
  readonly #options: NumberedRequestsOptions;
  #sequence: number;
  /** Sequences whose replies have not arrived. */
  readonly #outstanding = new Set<number>();

  constructor(options: NumberedRequestsOptions) {
    this.#options = options;
    this.#sequence = options.sequence ?? 0;
  }

  /** That of the last request. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether every request is answered. */
  get isIdle(): boolean {
    return this.#outstanding.size === 0;
  }

  /**
   * Sends a request until the server answers it. The caller has waited for the log of changes, if the request has to.
   * EIO when the server stayed away, or ended the session meanwhile.
   */
  async execute<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Omit<Static<Request>, 'once'>,
    { refusal, isNews, isPatient, afterBatch, returned, numbered }: NumberedOptions,
  ): Promise<Static<Reply>> {
    const { server, requests, unsynced, caches, acquisition } = this.#options;
    this.#sequence += 1;
    const sequence = this.#sequence;
    let executing = refusal ? server.id : 0;
    let answersBefore = 0;
    const isDurable = 'durable' in request && request.durable === true;
    this.#outstanding.add(sequence);
    numbered?.(sequence);
    const ticket = caches.attributes.ticket();
    const heldTicket = acquisition.ticket();
    try {
      const reply = await requests.untilAnswered(
        command.name,
        async (connection, timeoutMs) => {
          if (executing !== 0 && executing !== server.id) {
            throw new DfsError(
              'EIO',
              `the metadata server ended this session while '${command.name}' was under way`,
            );
          }
          const refused = refusal?.();
          if (refused) throw refused;
          executing = server.id;
          answersBefore = unsynced.answers;
          const goingBack = returned?.();
          const once: Once = {
            session: executing,
            sequence,
            acknowledged: this.#acknowledged(),
            ...(afterBatch === undefined ? {} : { afterBatch }),
            ...(goingBack ? { returned: [...goingBack] } : {}),
          };
          const numberedRequest = withOnce(request, once) as Static<Request>;
          const answer = await connection.call(command, numberedRequest, { timeoutMs });
          return answer.reply;
        },
        { isPatient, hasWaited: true },
      );
      // The log is on stable storage up to this change, with all that was answered before it was sent.
      const told = changedTold(reply);
      const changes = command.changes(request, reply);
      if (isDurable) unsynced.syncedUpTo(answersBefore);
      else unsynced.add(sequence, changedBy(changes, told));
      if (isNews) caches.learnChanges(ticket, reply, told);
      acquisition.learn(heldTicket, reply, isNews);
      if (isNews && changes.names) acquisition.noteChanged(changes.names);
      return reply;
    } catch (error) {
      // A part of it may have been done.
      caches.attributes.changeUnknown();
      throw error;
    } finally {
      this.#outstanding.delete(sequence);
    }
  }

  #acknowledged(): number {
    let lowest = this.#sequence + 1;
    // A Set iterates in insertion order and sequences only grow, so the first one is the lowest.
    for (const sequence of this.#outstanding) {
      lowest = sequence;
      break;
    }
    return lowest - 1;
  }
}

/** What a request has changed, by its command's declaration, and by what the server says that it has touched besides. */
function changedBy(
  { names = [], inodes = [], content = [] }: Changes,
  told: Changed | undefined,
): ChangedInodes {
  const touched = told?.changed.map(({ inode }) => inode) ?? [];
  const others = new Set([...inodes, ...content, ...touched]);
  for (const directory of names) others.delete(directory);
  return { directories: names, inodes: [...others] };
}

/** The cast says what the types of `execute` know: the request's shape is this one, with `once`. */
function withOnce(request: object, once: Once): unknown {
  return { ...request, once };
}
