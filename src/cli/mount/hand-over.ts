/**
 * The side of a take-over that has served the mount so far (protocol/take-over.ts has the conversation). Until it says that the mount is the
 * other one's, it goes on serving, whatever becomes of the other process.
 */
import { isDoneWithin, type Clock } from '../../platform/clock.js';
import { listenLocally, type LocalListener, type LocalMessages } from '../../platform/local-messages.js';
import type { Logger } from '../../platform/log.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import {
  encodeFailure,
  PredecessorMessage,
  SuccessorMessage,
  TAKE_OVER_VERSION,
  type FileSystemState,
  type MountSettings,
} from '../../protocol/take-over.js';
import { VERSION } from '../../protocol/version.js';
import type { FuseMount, HandOver } from '../../fuse/driver.js';
import { findMount } from '../../fuse/mount-table.js';
import type { FileSystemHandOver } from '../../vfs/file-system.js';
import { openControlDirectory, socketPath } from './control-socket.js';
import type { EndWatchers } from './end-watchers.js';

/** How long the other process may take for one step. */
const STEP_MS = 15_000;
/** How long what is written may take to be stored while the mount goes on, and what is left when it stands still. */
const SETTLE_MS = 30_000;
const STAND_STILL_MS = 5000;

export interface HandOverOptions {
  readonly mounted: FuseMount;
  /** Of the file system that is mounted. */
  readonly fileSystem: FileSystemHandOver | undefined;
  readonly settings: MountSettings;
  /** Whom to tell when the mount ends. */
  readonly watchers: EndWatchers;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The process that has taken the mount. */
export interface Successor {
  readonly process: number;
  /** Whether it said that it serves. */
  readonly isServing: boolean;
}

/** What a mount lies between. */
interface Sides {
  readonly kernel: HandOver;
  readonly fileSystem: FileSystemHandOver;
}

export class HandOverOffer {
  readonly #options: HandOverOptions;
  #listener: LocalListener | undefined;
  #underWay: Promise<unknown> | undefined;
  #isHandedOver = false;
  #handOver: (successor: Successor) => void = () => undefined;
  /** Resolves when another process has the mount. */
  readonly handedOver: Promise<Successor>;

  private constructor(options: HandOverOptions) {
    this.#options = options;
    this.handedOver = new Promise(resolve => (this.#handOver = resolve));
  }

  /** Listens for a successor. Where that cannot be, the mount goes on without; the log says so. */
  static async begin(options: HandOverOptions): Promise<HandOverOffer> {
    const offer = new HandOverOffer(options);
    const { mounted, clock, log } = options;
    try {
      const entry = await findMount(mounted.mountPoint);
      if (!entry) return offer;
      const directory = await openControlDirectory(process.getuid?.() ?? 0);
      const path = socketPath(directory, entry.deviceMinor);
      offer.#listener = await listenLocally(path, clock, messages => void offer.#converse(messages));
    } catch (error) {
      const reason = toDfsError(error).message;
      log.info({ reason }, 'no other process can take over the mount: it has to be unmounted for an upgrade');
    }
    return offer;
  }

  /** Resolves when no other process is being given the mount, or when one has it: then it returns true. */
  async settled(): Promise<boolean> {
    await this.#underWay;
    return this.#isHandedOver;
  }

  /** Listens no more. May be called twice. */
  close(): void {
    this.#listener?.close();
  }

  /** Never rejects. */
  async #converse(messages: LocalMessages): Promise<void> {
    const { log, watchers } = this.#options;
    let isWatching = false;
    try {
      const first = SuccessorMessage.decode(await messages.receive(STEP_MS));
      isWatching = isSaid(first, 'watch');
      if (isWatching) await watchers.add(messages);
      else await this.#answer(messages, due(first, 'hello'));
    } catch (error) {
      const reason = toDfsError(error);
      log.warn({ reason: reason.message }, 'the mount was not handed over');
      const refused = PredecessorMessage.encode({ say: 'refused', failure: encodeFailure(reason) });
      await messages.send(refused).catch(() => undefined);
    } finally {
      if (!isWatching) messages.close();
    }
  }

  async #answer(messages: LocalMessages, hello: Said<'hello'>): Promise<void> {
    const { mounted, fileSystem, settings, log } = this.#options;
    if (!hello.versions.includes(TAKE_OVER_VERSION)) throw otherVersion(hello.program);
    const { handOver } = mounted;
    if (!handOver || !fileSystem) {
      throw new DfsError(
        'EOPNOTSUPP',
        `${mounted.mountPoint} is mounted with --driver fuse-native, which cannot hand a mount over; unmount it, and mount again`,
      );
    }
    await messages.send(PredecessorMessage.encode({ say: 'settings', version: TAKE_OVER_VERSION, settings }));
    const { mailbox } = await received(messages, 'give');
    if (this.#underWay || this.#isHandedOver)
      throw new DfsError('EBUSY', 'another process is taking over the mount at this moment');
    log.info({ process: hello.process, program: hello.program }, 'another process takes over the mount');
    const giving = this.#give(messages, { kernel: handOver, fileSystem }, mailbox);
    this.#underWay = giving.catch(() => undefined);
    try {
      await giving;
    } finally {
      this.#underWay = undefined;
    }
    const successor = { process: hello.process, isServing: await isServing(messages) };
    // Else the guard unmounts.
    if (successor.isServing) handOver.leave();
    this.#handOver(successor);
  }

  /** When it resolves the mount is the other process's; when it rejects it goes on here. */
  async #give(messages: LocalMessages, sides: Sides, mailbox: string): Promise<void> {
    const { log } = this.#options;
    const { sendDescriptor } = await import('../../platform/descriptor-passing.js');
    const startMs = performance.now();
    const state = await this.#standStill(sides);
    const stoodStillMs = performance.now();
    try {
      sendDescriptor(mailbox, sides.kernel.descriptor);
      const { kernel, inodes } = sides.kernel.state();
      await messages.send(PredecessorMessage.encode({ say: 'state', fileSystem: state, kernel }));
      for (const page of inodes) await messages.send(PredecessorMessage.encode({ say: 'inodes', page }));
      await messages.send(PredecessorMessage.encode({ say: 'whole' }));
      await received(messages, 'ready');
    } catch (error) {
      sides.fileSystem.goOn();
      sides.kernel.resume();
      throw error;
    }
    this.#isHandedOver = true;
    const readyMs = performance.now();
    // Should it have ended in this moment, nobody serves: the guard unmounts.
    await messages.send(PredecessorMessage.encode({ say: 'yours' })).catch(() => undefined);
    log.info(
      { preparedMs: Math.round(stoodStillMs - startMs), takenMs: Math.round(readyMs - stoodStillMs) },
      'the mount is handed over',
    );
  }

  /** Nothing is under way any more, and the kernel's requests wait. EBUSY while servers are away; the mount goes on then. */
  async #standStill({ kernel, fileSystem }: Sides): Promise<FileSystemState> {
    const { clock } = this.#options;
    try {
      await kernel.prepare();
      if (!(await isDoneWithin(clock, SETTLE_MS, fileSystem.settled()))) throw notStored();
      await kernel.pause(STAND_STILL_MS);
      const untilMs = clock.monotonicMs() + STAND_STILL_MS;
      // What was written in the last moment begins to be stored; and what ends may begin something else.
      do {
        const leftMs = Math.max(0, untilMs - clock.monotonicMs());
        if (!(await isDoneWithin(clock, leftMs, fileSystem.settled()))) throw notStored();
        const state = fileSystem.suspend();
        if (state) return state;
        await new Promise<void>(resolve => clock.atNextTurn(resolve));
      } while (clock.monotonicMs() < untilMs);
      throw notStored();
    } catch (error) {
      kernel.resume();
      throw error;
    }
  }
}

type Message = ReturnType<typeof SuccessorMessage.decode>;
type Said<What> = Extract<Message, { readonly say: What }>;

async function received<What extends Message['say']>(
  messages: LocalMessages,
  what: What,
): Promise<Said<What>> {
  return due(SuccessorMessage.decode(await messages.receive(STEP_MS)), what);
}

function due<What extends Message['say']>(message: Message, what: What): Said<What> {
  if (isSaid(message, what)) return message;
  throw new DfsError('EPROTO', `the other process says '${message.say}' where '${what}' is due`);
}

function isSaid<What extends Message['say']>(message: Message, what: What): message is Said<What> {
  return message.say === what;
}

async function isServing(messages: LocalMessages): Promise<boolean> {
  return await received(messages, 'serving').then(
    () => true,
    () => false,
  );
}

function otherVersion(program: string): DfsError {
  return new DfsError(
    'EPROTO',
    `the mount is served by DFS ${VERSION}, and DFS ${program} does not know how to take it over from that; unmount it, and mount again`,
  );
}

function notStored(): DfsError {
  return new DfsError(
    'EBUSY',
    'what was written to the mount cannot be stored at the moment, and it goes on as it is; see dfs status, and try again',
  );
}
