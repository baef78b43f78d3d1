/** A session that caches: what it may keep, and what it was told to drop. */
import type { RequestOf } from '../../protocol/command.js';
import { MAX_NEWS, MAX_REVOKED } from '../../protocol/limits.js';
import type { revoke } from '../../protocol/session-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { ChangedEntry, InodeChange } from './change-trace.js';

export type Revocation = RequestOf<typeof revoke>;

/** Names of a directory are revoked one by one so often while the session does not read the directory again. */
const MAX_UNREAD_REVOCATIONS = 8;

/** One message to a session. `answered` resolves when the session has dropped it all, or has no lease any more. */
export class RevocationMessage {
  readonly holder: LeaseHolder;
  readonly queuedMs: number;
  readonly answered: Promise<void>;
  isEverything = false;
  /** Inodes that changed with what it tells. */
  readonly about = new Set<number>();
  isAnswered = false;
  /** inode → the content's version */
  readonly inodes = new Map<number, number>();
  readonly #names: { readonly parent: number; readonly name: Uint8Array }[] = [];
  readonly #directories = new Set<number>();
  /** Inodes that are told as they are now. */
  readonly #attributes = new Map<number, Attributes>();
  /** directory → names that are told */
  readonly #entries = new Map<number, readonly ChangedEntry[]>();
  #newsCount = 0;
  /** directory → the position up to which its names were told */
  readonly #left = new Map<number, number>();
  #resolve: () => void = () => undefined;

  constructor(holder: LeaseHolder, queuedMs: number) {
    this.holder = holder;
    this.queuedMs = queuedMs;
    this.answered = new Promise(resolve => (this.#resolve = resolve));
  }

  add(inode: number, version: number, names: readonly ChangedEntry[]): void {
    this.dropNews(inode);
    this.inodes.set(inode, version);
    for (const { name } of names) this.#names.push({ parent: inode, name });
  }

  /** Whether so much more news may be told with it. */
  hasRoomFor(news: number): boolean {
    return this.#newsCount + news <= MAX_NEWS;
  }

  /** The session may keep the inode's attributes at once, and of a directory where these names lead. */
  tell(attributes: Attributes, entries: readonly ChangedEntry[] = []): void {
    this.#newsCount += 1 + entries.length;
    this.#attributes.set(attributes.inode, attributes);
    if (entries.length > 0) this.#entries.set(attributes.inode, entries);
  }

  /** The inode, or names in it, have changed since: what was to be told is not true any more. */
  dropNews(inode: number): void {
    this.#attributes.delete(inode);
    this.#entries.delete(inode);
  }

  /** Every name in the directory. */
  addDirectory(inode: number): void {
    this.#directories.add(inode);
  }

  /** No name in the directory, until the session has it again. */
  leave(inode: number, at: number): void {
    this.#left.set(inode, at);
  }

  /** Whether it names more than a message may. */
  get isTooLong(): boolean {
    const directories = this.#directories.size + this.#left.size;
    return Math.max(this.inodes.size, this.#names.length, directories) > MAX_REVOKED;
  }

  encode(): Revocation {
    if (this.isEverything) return { inodes: [], names: [], directories: [], everything: true };
    return {
      inodes: [...this.inodes].map(([inode, version]) => ({ inode, version })),
      names: this.#names,
      directories: [...this.#directories],
      ...(this.#left.size > 0 ? { left: [...this.#left].map(([directory, at]) => ({ directory, at })) } : {}),
      ...(this.#attributes.size > 0 ? { news: this.#news() } : {}),
      everything: false,
    };
  }

  #news(): NonNullable<Revocation['news']> {
    const names = [...this.#entries].flatMap(([parent, entries]) =>
      entries.map(({ name, inode }) => ({ parent, name, inode })),
    );
    return { attributes: [...this.#attributes.values()], names };
  }

  settle(): void {
    this.isAnswered = true;
    this.#resolve();
  }
}

export class LeaseHolder {
  readonly session: number;
  /** Monotonic ms, by this server's clock, at which the session has no lease for certain. */
  leaseEndMs: number;
  /** Inodes of which it may cache attributes, content, or names. */
  readonly inodes = new Set<number>();
  /** Messages not answered yet, oldest first. */
  readonly messages = new Set<RevocationMessage>();
  /** The newest message that says to drop everything, until it is answered. */
  everything: RevocationMessage | undefined;
  /** What is being collected for the next message. */
  draft: RevocationMessage | undefined;
  /** directory → how often it changed since the session read it last */
  readonly #unread = new Map<number, number>();

  constructor(session: number, leaseEndMs: number) {
    this.session = session;
    this.leaseEndMs = leaseEndMs;
  }

  /** The session asked for the directory, or says that its programs did. */
  noteRead(inode: number): void {
    if (this.#unread.size > 0) this.#unread.delete(inode);
  }

  /**
   * Puts a change into a message. Returns whether the session caches nothing of the inode once it has dropped that. A
   * directory is still of interest afterwards, since its other names stay cached; unless the session has not read it for
   * long: then it drops all its names, rather than being told of each that comes and goes.
   */
  put(message: RevocationMessage, inode: number, change: InodeChange): boolean {
    if (!change.isDirectory) {
      message.add(inode, change.version, []);
      return true;
    }
    if (change.leftAt !== undefined) {
      message.add(inode, change.version, []);
      message.leave(inode, change.leftAt);
      this.#unread.delete(inode);
      return true;
    }
    const times = (this.#unread.get(inode) ?? 0) + 1;
    if (times > MAX_UNREAD_REVOCATIONS) {
      this.#unread.delete(inode);
      message.add(inode, change.version, []);
      message.addDirectory(inode);
      return true;
    }
    this.#unread.set(inode, times);
    message.add(inode, change.version, change.names);
    return false;
  }

  forgetReads(): void {
    this.#unread.clear();
  }
}
