/** The side of a take-over that serves the mount from then on (protocol/take-over.ts has the conversation). */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../platform/clock.js';
import type { LocalMessages } from '../../platform/local-messages.js';
import type { DescriptorMailbox } from '../../platform/descriptor-passing.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import {
  decodeFailure,
  PredecessorMessage,
  SuccessorMessage,
  TAKE_OVER_VERSION,
  type MountSettings,
  type MountState,
} from '../../protocol/take-over.js';
import { VERSION } from '../../protocol/version.js';
import { canonicalMountPoint } from '../../fuse/mount-point.js';
import { findMount, type MountEntry } from '../../fuse/mount-table.js';
import { contactServing, type Contact } from './control-socket.js';

const STEP_MS = 15_000;
/** The other process may have much to store before it gives anything. */
const GIVE_MS = 60_000;

export interface Taken extends MountState {
  /** /dev/fuse; the caller closes it. */
  readonly descriptor: number;
}

export class Succession {
  readonly #messages: LocalMessages;
  readonly #mailboxPath: string;
  /** As the kernel's table shows it. */
  readonly mountPoint: string;
  readonly settings: MountSettings;

  private constructor(
    messages: LocalMessages,
    mailboxPath: string,
    mountPoint: string,
    settings: MountSettings,
  ) {
    this.mountPoint = mountPoint;
    this.#messages = messages;
    this.#mailboxPath = mailboxPath;
    this.settings = settings;
  }

  /**
   * Finds the process that serves a mount, and asks it how. ENOENT for what is no mount of DFS, EACCES for another user's, EOPNOTSUPP or
   * EPROTO when it cannot be taken over.
   */
  static async begin(path: string, clock: Clock): Promise<Succession> {
    const mountPoint = await canonicalMountPoint(path);
    const entry = await findMount(mountPoint);
    if (!entry?.source.startsWith('dfs@'))
      throw new DfsError('ENOENT', `no DFS is mounted at ${mountPoint}; mount it without --take-over`);
    const userId = process.getuid?.() ?? 0;
    const { messages, directory } = await connected(entry, userId, clock);
    try {
      const hello = { versions: [TAKE_OVER_VERSION], program: VERSION, process: process.pid };
      await messages.send(SuccessorMessage.encode({ say: 'hello', ...hello }));
      const said = PredecessorMessage.decode(await messages.receive(STEP_MS));
      if (said.say === 'refused') throw decodeFailure(said.failure);
      if (said.say !== 'settings') throw unexpected(said.say);
      const mailboxPath = join(directory, `${entry.deviceMinor}.${process.pid}.box`);
      return new Succession(messages, mailboxPath, mountPoint, said.settings);
    } catch (error) {
      messages.close();
      throw toDfsError(error).within(`cannot take over ${mountPoint}`);
    }
  }

  /** The other process stands still, and gives everything. Rejects when it does not, and goes on. */
  async take(): Promise<Taken> {
    const { openMailbox } = await import('../../platform/descriptor-passing.js');
    await rm(this.#mailboxPath, { force: true });
    const mailbox = openMailbox(this.#mailboxPath);
    try {
      await this.#messages.send(SuccessorMessage.encode({ say: 'give', mailbox: this.#mailboxPath }));
      const state = await this.#receiveState();
      return { ...state, descriptor: descriptorFrom(mailbox) };
    } finally {
      mailbox.close();
    }
  }

  /** The mount is this process's when it resolves, and the other one's when it rejects. */
  async commit(): Promise<void> {
    await this.#messages.send(SuccessorMessage.encode({ say: 'ready' }));
    const said = PredecessorMessage.decode(await this.#messages.receive(STEP_MS));
    if (said.say === 'refused') throw decodeFailure(said.failure);
    if (said.say !== 'yours') throw unexpected(said.say);
  }

  /** The kernel is being answered: the other process ends. Never rejects. */
  async serving(): Promise<void> {
    await this.#messages.send(SuccessorMessage.encode({ say: 'serving' })).catch(() => undefined);
    this.close();
  }

  /** May be called twice. */
  close(): void {
    this.#messages.close();
  }

  async #receiveState(): Promise<MountState> {
    const state = PredecessorMessage.decode(await this.#messages.receive(GIVE_MS));
    if (state.say === 'refused') throw decodeFailure(state.failure);
    if (state.say !== 'state') throw unexpected(state.say);
    const inodes: Uint8Array[] = [];
    for (;;) {
      const said = PredecessorMessage.decode(await this.#messages.receive(STEP_MS));
      if (said.say === 'refused') throw decodeFailure(said.failure);
      if (said.say === 'whole') return { fileSystem: state.fileSystem, kernel: state.kernel, inodes };
      if (said.say !== 'inodes') throw unexpected(said.say);
      inodes.push(said.page);
    }
  }
}

async function connected(entry: MountEntry, userId: number, clock: Clock): Promise<Contact> {
  const { mountPoint, userId: owner } = entry;
  if (owner !== undefined && owner !== userId) {
    throw new DfsError(
      'EACCES',
      `${mountPoint} was mounted by the user with the id ${owner}; take it over as that user`,
    );
  }
  const contact = await contactServing(entry, userId, clock);
  if (contact) return contact;
  throw new DfsError(
    'EOPNOTSUPP',
    `the process that serves ${mountPoint} cannot be asked to hand it over: it may be older than --take-over; unmount it, and mount again`,
  );
}

function descriptorFrom(mailbox: DescriptorMailbox): number {
  const descriptor = mailbox.take();
  if (descriptor === undefined) throw new DfsError('EPROTO', 'the other process gave no device');
  return descriptor;
}

function unexpected(said: string): DfsError {
  return new DfsError('EPROTO', `the process that serves the mount says '${said}', which is not due`);
}
