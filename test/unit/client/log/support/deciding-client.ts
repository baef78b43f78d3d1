/** A client that has some inodes to itself and decides changes of them, with a metadata server that the test scripts. */
import { MetadataCaches } from '../../../../../src/client/caches/metadata-caches.js';
import { divideCache } from '../../../../../src/client/caches/cache-sizes.js';
import { CacheLease } from '../../../../../src/client/leases/cache-lease.js';
import { HeldInodes } from '../../../../../src/client/leases/held-inodes.js';
import { ChangeLog } from '../../../../../src/client/log/change-log.js';
import { ForetoldChanges } from '../../../../../src/client/log/foretold-changes.js';
import { ServerClock } from '../../../../../src/client/session/server-clock.js';
import { nextTurn, systemClock } from '../../../../../src/platform/clock.js';
import { S_IFDIR } from '../../../../../src/protocol/file-mode.js';
import * as content from '../../../../../src/protocol/content-commands.js';
import * as namespace from '../../../../../src/protocol/namespace-commands.js';
import type { Attributes } from '../../../../../src/protocol/types.js';
import { ManualClock } from '../../../../support/manual-clock.js';
import { LOG } from '../../../metadata/support/harness.js';
import { record } from '../../../rules/records.js';

const LEASE_MS = 60_000;
/** Owned by user 7 and group 8, as every inode of `record`. */
export const DIRECTORY = 100;
export const FIRST_NUMBER = 1000;
export const NUMBERS = 3;

/** command number → name */
const COMMANDS = new Map<number, string>(
  [...Object.values(namespace), ...Object.values(content)].flatMap(each =>
    'number' in each && 'name' in each ? [[each.number, each.name] as const] : [],
  ),
);

/** A change as it is sent to the server. */
export interface SentChange {
  readonly name: string | undefined;
  readonly request: object;
}

export class DecidingClient {
  readonly clock = new ManualClock();
  readonly lease = new CacheLease(this.clock, LOG);
  readonly held = new HeldInodes(this.lease);
  readonly caches = new MetadataCaches(this.lease, divideCache(64 << 20));
  readonly open = new Set<number>();
  isBusy = false;
  isBusyBefore = false;
  /** Files of which a program was told what is not so. */
  readonly lost: number[] = [];
  /** Inodes that change by more than intents. */
  readonly changed: number[] = [];
  readonly mispredicted: (readonly [Attributes, Attributes])[] = [];
  readonly sent: SentChange[] = [];
  /** Why the server refuses the next batch's first change. */
  refusal: string | undefined;
  readonly changes: ChangeLog;
  readonly foretold: ForetoldChanges;

  private constructor() {
    const serverClock = new ServerClock(this.clock);
    const ample = { freeBytes: 2 ** 40, ahead: 1024 };
    this.changes = new ChangeLog(this.clock, LOG, this.lease, this.held, serverClock, {
      ask: async () => ({ ...ample, inodes: { first: FIRST_NUMBER, count: NUMBERS } }),
      send: async ({ changes }) => {
        for (const { command, request } of changes) this.sent.push({ name: COMMANDS.get(command), request });
        const code = this.refusal;
        this.refusal = undefined;
        return { ...ample, refused: code === undefined ? [] : [{ index: 0, code, message: 'no' }] };
      },
      confirm: () => undefined,
      broken: () => undefined,
    });
    this.foretold = new ForetoldChanges({
      clock: serverClock,
      log: LOG,
      lease: this.lease,
      held: this.held,
      attributes: this.caches.attributes,
      names: this.caches.names,
      xattrs: this.caches.xattrs,
      targets: this.caches.targets,
      changes: this.changes,
      client: {
        isBusy: () => this.isBusy,
        isBusyBefore: () => this.isBusyBefore,
        isOpen: inode => this.open.has(inode),
        lost: files => void this.lost.push(...files),
        changed: inodes => void this.changed.push(...inodes),
      },
      onMisprediction: (...pair) => void this.mispredicted.push(pair),
    });
  }

  /** With numbers for NUMBERS new inodes, and with an empty directory of its own, of which it knows everything. */
  static async start(): Promise<DecidingClient> {
    const client = new DecidingClient();
    client.lease.want();
    client.lease.grant(0, LEASE_MS);
    await client.lease.begun();
    client.changes.noteRequest();
    await nextTurn(systemClock);
    client.know({ inode: DIRECTORY, mode: S_IFDIR | 0o755, nlink: 2, goal: 0 });
    client.caches.names.created(client.lease.ticket(), DIRECTORY, 1);
    return client;
  }

  /** An inode that the client has to itself, and that has no extended attributes. */
  know(given: Partial<Attributes> & { readonly inode: number }): Attributes {
    const attributes = record(given);
    const ticket = this.caches.attributes.ticket();
    this.held.add(attributes.inode);
    this.caches.attributes.keep(ticket, attributes);
    this.caches.xattrs.none(ticket, attributes.inode);
    return attributes;
  }

  /** The same, with a name in the directory. */
  knowAs(name: string, given: Partial<Attributes> & { readonly inode: number }): Attributes {
    this.caches.names.linked(DIRECTORY, Buffer.from(name), given.inode);
    return this.know(given);
  }

  /** What is kept of an inode. */
  kept(inode: number): Attributes | undefined {
    return this.caches.attributes.get(inode);
  }

  /** Everything that was acknowledged, once the server has answered it. */
  async answered(): Promise<readonly SentChange[]> {
    await this.changes.drained();
    return this.sent;
  }

  /** Whether the client has left something to the server: it acknowledged nothing. */
  get hasDecidedNothing(): boolean {
    return this.changes.isEmpty && this.sent.length === 0;
  }
}
