/**
 * Changes that the server is asked for, in their order with those that this client has acknowledged before it told the server
 * (client/log/change-log.ts): each is sent behind what was acknowledged before it.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import { isDoneWithin, type Clock } from '../../platform/clock.js';
import { UnderWay } from '../../platform/under-way.js';
import type { Command } from '../../protocol/command.js';
import type { DfsError } from '../../protocol/errors.js';
import type { HeldInodes } from '../leases/held-inodes.js';
import type { ChangeLog } from '../log/change-log.js';
import type { LogPlace } from '../log/waiting-changes.js';
import type { OpenInodes } from '../opens/open-inodes.js';
import type { NumberedOptions, NumberedRequests } from './numbered-requests.js';
import type { Requests } from './requests.js';

/** How long a change waits for requests under way before the server is asked for it as well. */
const QUIESCE_MS = 200;

export interface OrderedChangesOptions {
  readonly clock: Clock;
  readonly log: Pick<ChangeLog, 'noteRequest' | 'isEmpty' | 'isOpen' | 'isOpenAt'>;
  readonly held: Pick<HeldInodes, 'has' | 'recall' | 'returned'>;
  readonly opens: Pick<OpenInodes, 'tell'>;
  readonly requests: Pick<Requests, 'inOrder'>;
  readonly numbered: Pick<NumberedRequests, 'execute'>;
}

export class OrderedChanges {
  readonly #options: OrderedChangesOptions;
  /** Requests that are not answered. */
  readonly #changing = new UnderWay();
  /** Those of them that do not wait for the log any more. */
  readonly #executing = new UnderWay();

  constructor(options: OrderedChangesOptions) {
    this.#options = options;
  }

  /** Whether a request is not answered. */
  get isBusy(): boolean {
    return !this.#changing.isEmpty;
  }

  /** Whether one of them does not wait for the log any more. */
  get isExecuting(): boolean {
    return !this.#executing.isEmpty;
  }

  /**
   * Sends a request that changes something, numbered so that the server executes it once however often it is sent.
   * EIO when the server stayed away, or ended the session while the request was under way.
   * @param refusal for what was acknowledged to a program earlier: see NumberedOptions
   * @param isPatient asked when the server has stayed away for the session's timeout: whether to go on waiting
   * @param place what was acknowledged behind this place of the log is not waited for
   */
  async execute<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Omit<Static<Request>, 'once'>,
    refusal?: () => DfsError | undefined,
    isPatient?: () => boolean,
    place?: LogPlace,
  ): Promise<Static<Reply>> {
    return await this.#execute(command, request, { refusal, isPatient, isNews: true }, place);
  }

  /**
   * As `execute`, for a change after which others will want an inode that this client may have to itself: it goes back with the request,
   * and nobody need ask for it.
   * @param isSettled asked when the request is sent: whether all that was acknowledged of the inode is logged, or committed
   */
  async executeReturning<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Omit<Static<Request>, 'once'>,
    inode: number,
    isSettled: () => boolean,
  ): Promise<Static<Reply>> {
    const { held, opens } = this.#options;
    if (!held.has(inode)) return await this.execute(command, request);
    const returned = held.recall([{ first: inode, count: 1 }]);
    try {
      await opens.tell(returned);
      const options = { isNews: true, returned: () => (isSettled() ? returned : undefined) };
      return await this.#execute(command, request, options);
    } finally {
      held.returned(returned);
    }
  }

  /**
   * Waits, if this client may change the inode before the server knows, for the requests under way that keep it from
   * knowing how things are; else several programs that ask the server would keep each other asking. Not for long: another
   * client may wait for what is decided next, and be waited for by one of those requests.
   * @param place where in the log the change belongs: requests that wait for the log wait for that, too
   */
  async quiesce(inode: number, place?: LogPlace): Promise<void> {
    const { clock, log, held } = this.#options;
    const isPlaced = place !== undefined && log.isOpenAt(place);
    const underWay = isPlaced ? this.#executing : this.#changing;
    const mayDecide = (isPlaced || log.isOpen) && held.has(inode);
    if (!mayDecide || underWay.isEmpty) return;
    await isDoneWithin(clock, QUIESCE_MS, underWay.settled());
  }

  async #execute<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Omit<Static<Request>, 'once'>,
    options: NumberedOptions,
    place?: LogPlace,
  ): Promise<Static<Reply>> {
    const { log, requests, numbered } = this.#options;
    log.noteRequest();
    // What comes into a place of the log while it waits is before it.
    const attempt = async (afterBatch?: number): Promise<Static<Reply>> =>
      await this.#executing.during(numbered.execute(command, request, { ...options, afterBatch }));
    const inOrder = async (): Promise<Static<Reply>> =>
      await (log.isEmpty ? attempt() : requests.inOrder(command.name, place, attempt));
    return await this.#changing.during(inOrder());
  }
}
