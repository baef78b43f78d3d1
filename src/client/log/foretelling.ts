/**
 * What a client must know to foretell what the metadata server will make of a change, and how the foretold change goes
 * into the log. The rest, a rule for each kind of change, is in foretold-names.ts, foretold-attributes.ts and
 * foretold-content.ts.
 */
import type { Timespec } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { Command } from '../../protocol/command.js';
import type { DfsError } from '../../protocol/errors.js';
import { isDirectory } from '../../protocol/file-mode.js';
import type { Attributes } from '../../protocol/types.js';
import type { AttributeCache } from '../caches/attribute-cache.js';
import type { LinkTargets } from '../caches/link-targets.js';
import type { NameCache } from '../caches/name-cache.js';
import type { XattrCache } from '../caches/xattr-cache.js';
import type { ExtentMap } from '../content/extent-map.js';
import type { CacheLease } from '../leases/cache-lease.js';
import type { HeldInodes } from '../leases/held-inodes.js';
import type { ServerClock } from '../session/server-clock.js';
import type { ChangeLog } from './change-log.js';
import type { LogPlace } from './waiting-changes.js';

/** What of this client's stands in the way of deciding alone. */
export interface ClientState {
  /** Requests that change something are under way, or wait for the log: what they make of it is not known yet. */
  readonly isBusy: () => boolean;
  /** As `isBusy`, of those that do not wait for the log, and so not for what comes into a place of it. */
  readonly isBusyBefore: () => boolean;
  readonly isOpen: (inode: number) => boolean;
  /** A program was told that something is done with these files, and it is not. */
  readonly lost: (files: readonly number[], reason: DfsError) => void;
  /** These change by more than intents that data nodes have. */
  readonly changed: (inodes: readonly number[]) => void;
}

export interface ForetellingOptions {
  readonly clock: ServerClock;
  readonly log: Logger;
  readonly lease: CacheLease;
  readonly held: HeldInodes;
  readonly attributes: AttributeCache;
  readonly names: NameCache;
  readonly xattrs: XattrCache;
  readonly targets: LinkTargets;
  readonly changes: ChangeLog;
  readonly client: ClientState;
}

/** What the server says of a change; left out where nobody waits for it. */
export interface Answers {
  readonly committed?: () => void;
  /** By default the client notes the files that it changes as lost. */
  readonly refused?: (reason: DfsError) => void;
  /** Data nodes have it as an intent: it is in no hurry. */
  readonly isKept?: boolean;
}

/** What of a file's extents a change needs. */
export type KnownExtents = Pick<ExtentMap, 'version' | 'covered'>;

/** A change in the log takes a bounded part of the room that the server keeps for it. */
export const MAX_EXTENTS_AHEAD = 256;
/** In the place of the number that the batch has, where a change is checked. */
const ANY_ONCE = { session: 0, sequence: 0, acknowledged: 0 };

export class Foretelling {
  readonly #options: ForetellingOptions;

  constructor(options: ForetellingOptions) {
    this.#options = options;
  }

  get isReady(): boolean {
    return this.#options.changes.isOpen && !this.#options.client.isBusy();
  }

  /** Whether a change may be foretold that comes into a place of the log, if one is given, and else to its end. */
  isReadyAt(place: LogPlace | undefined): boolean {
    const { changes, client } = this.#options;
    if (!place || !changes.isOpenAt(place)) return this.isReady;
    return !client.isBusyBefore();
  }

  /** What is known of an inode that nobody else may use. */
  own(inode: number): Attributes | undefined {
    const { held, attributes } = this.#options;
    return held.has(inode) ? attributes.get(inode) : undefined;
  }

  now(): Timespec {
    return this.#options.clock.now();
  }

  /** What is kept of the inode's attributes is not true any more. */
  forget({ inode, version }: Attributes): void {
    const { attributes, lease } = this.#options;
    attributes.change(attributes.ticket(), [], [inode]);
    void lease.dropFalse([{ inode, version }]);
  }

  /**
   * Puts a change into the log. False when the server would not even take its request, by the same check: then it is for
   * the server to say so.
   */
  append(
    command: Command,
    request: object,
    at: Timespec,
    changed: readonly Attributes[],
    {
      committed = () => undefined,
      refused = (reason: DfsError) => this.#lost(changed, reason),
      isKept = false,
    }: Answers = {},
    place?: LogPlace,
  ): boolean {
    if (!command.request.accepts({ ...request, once: ANY_ONCE })) return false;
    const { attributes, changes, client } = this.#options;
    // Who opens what has no name left asks the server, whether it is still there.
    const gone = changed.filter(({ nlink }) => nlink === 0).map(({ inode }) => inode);
    const left = changed.filter(({ nlink }) => nlink > 0);
    attributes.change(attributes.ticket(), left, gone);
    const inodes = changed.map(({ inode }) => inode);
    if (!isKept) client.changed(inodes);
    const logged = { at, inodes, committed, refused, isKept };
    changes.append(command, request, logged, place && changes.isOpenAt(place) ? place : undefined);
    return true;
  }

  #lost(changed: readonly Attributes[], reason: DfsError): void {
    const files = changed.filter(({ mode }) => !isDirectory(mode)).map(({ inode }) => inode);
    if (files.length > 0) this.#options.client.lost(files, reason);
  }
}
