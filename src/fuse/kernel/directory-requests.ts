/** The requests about open directories. */
import { constants } from 'node:fs';
import { DfsError } from '../../protocol/errors.js';
import { S_IFDIR } from '../../protocol/file-mode.js';
import type { Payload } from '../../protocol/frame.js';
import { typeOf } from '../../protocol/packed-names.js';
import type { KernelState } from '../../protocol/take-over.js';
import type { FileSystem, ImmediateAnswers } from '../../vfs/file-system.js';
import { namesPageOf } from '../../vfs/names-page.js';
import { writeEntry } from './attributes.js';
import type { Callers, Requester } from './callers.js';
import { DirectoryStream, DOTS, type StreamState } from './directory-stream.js';
import type { KernelCache } from './kernel-cache.js';
import { ListingReply } from './listing-reply.js';
import { done, NOTHING, openOut, type RequestHandler } from './replies.js';
import { checkFlags } from './request-flags.js';
import { StatPrediction } from './stat-prediction.js';
import { fuseDirent, fuseEntryOut, fuseFsyncIn, fuseOpenIn, fuseReadIn, fuseReleaseIn } from './structs.js';
import { Opcode, type RequestHeader } from './wire.js';

/** fuse_direntplus with a name of one to eight bytes. */
const MIN_DIRENT_PLUS_BYTES = fuseEntryOut.bytes + fuseDirent.bytes + 8;
/** Names that a program is told without attributes before it is seen what it does with them: each that it looks up is a request. */
const TRIAL_NAMES = 12;
const { O_NOATIME } = constants;
const DIRECTORY_TYPE = typeOf(S_IFDIR);
const DOT_NAMES = Buffer.from('..');

interface OpenDirectory {
  readonly inode: number;
  readonly opener: Requester;
  /** Whether the opener may read it is known. */
  isAllowed: boolean;
  readonly stream: DirectoryStream;
  /** It was opened without O_NOATIME. */
  readonly movesAtime: boolean;
}

/** What the kernel may keep of attributes; false when it asks for none. */
type PlusListing = false | { readonly ticket: number; readonly withAttributes: boolean };

export class DirectoryRequests {
  readonly #fileSystem: FileSystem;
  readonly #known: ImmediateAnswers | undefined;
  readonly #cache: KernelCache;
  readonly #callers: Callers;
  readonly #stats = new StatPrediction();
  /** handle → the directory it reads */
  readonly #directories = new Map<number, OpenDirectory>();
  #lastDirectory = 0;
  /** opcode → what answers it */
  readonly handlers: ReadonlyMap<number, RequestHandler>;

  constructor(fileSystem: FileSystem, cache: KernelCache, callers: Callers) {
    this.#fileSystem = fileSystem;
    this.#known = fileSystem.immediate;
    this.#cache = cache;
    this.#callers = callers;
    this.handlers = new Map<number, RequestHandler>([
      [Opcode.opendir, async (h, b) => this.opendir(h, b)],
      [Opcode.readdir, async (h, b) => await this.#readdir(h, b, false)],
      [Opcode.readdirplus, async (h, b) => await this.#readdir(h, b, true)],
      [Opcode.releasedir, async (_, b) => this.releasedir(b)],
      [Opcode.fsyncdir, async (h, b) => await this.#fsyncdir(h, b)],
    ]);
  }

  opendir({ inode, uid, gid, pid }: RequestHeader, bytes: Buffer): Payload {
    this.#lastDirectory += 1;
    const handle = this.#lastDirectory;
    const movesAtime = (fuseOpenIn.body(bytes).flags & O_NOATIME) === 0;
    this.#open(handle, { inode, opener: { uid, gid, pid }, isAllowed: false, movesAtime });
    return [openOut(handle, this.#cache.listingFlags(this.#cache.ticket(), inode))];
  }

  /** What a successor of this process has to know (protocol/take-over.ts). */
  state(): Pick<KernelState, 'directories' | 'lastDirectory'> {
    const directories = [...this.#directories].map(
      ([handle, { inode, opener, isAllowed, movesAtime, stream }]) => {
        const { uid, gid, pid } = opener;
        const { parent, starts } = stream.state();
        return { handle, inode, opener: { uid, gid, pid }, isAllowed, movesAtime, parent, starts };
      },
    );
    return { directories, lastDirectory: this.#lastDirectory };
  }

  restore({ directories, lastDirectory }: Pick<KernelState, 'directories' | 'lastDirectory'>): void {
    for (const directory of directories) this.#open(directory.handle, directory, directory);
    this.#lastDirectory = lastDirectory;
  }

  /** The process that opened the directory must be allowed to read it; one that reads on by the handle is not checked (open(2)). */
  #open(handle: number, opened: Omit<OpenDirectory, 'stream'>, begun?: StreamState): void {
    const read = async <Page>(page: (files: FileSystem) => Promise<Page>): Promise<Page> => {
      if (open.isAllowed) return await page(this.#fileSystem);
      const first = await this.#callers.act(open.opener, page);
      open.isAllowed = true;
      return first;
    };
    const { inode, opener, isAllowed, movesAtime } = opened;
    const source = {
      names: async (after: Uint8Array) => await read(async files => await files.readNames(inode, after)),
      entries: async (after: Uint8Array, limit: number | undefined) =>
        namesPageOf(await read(async files => await files.readdirPage(inode, after, limit))),
      namesNow: (after: Uint8Array) => {
        if (!open.isAllowed && (opener.uid !== 0 || this.#fileSystem.rights)) return undefined;
        return this.#known?.names(inode, after);
      },
    };
    const stream = new DirectoryStream(source, begun);
    const open: OpenDirectory = { inode, opener, isAllowed, movesAtime, stream };
    this.#directories.set(handle, open);
  }

  /** The program looks up a name in the directory. */
  lookedUp({ pid, inode }: Pick<RequestHeader, 'pid' | 'inode'>): void {
    this.#stats.lookedUp(pid, inode);
  }

  /** The answer to READDIR or READDIRPLUS, if the names are there and no attributes are wanted; else undefined. */
  readdirNow(header: RequestHeader, bytes: Buffer, isPlus: boolean): Payload | undefined {
    if (this.#stats.wantsAttributes(header.pid)) return undefined;
    const request = fuseReadIn.body(bytes);
    const open = this.#directories.get(request.fh);
    if (!open) return undefined;
    const { stream } = open;
    const ticket = this.#cache.ticket();
    const { offset: position } = request;
    if (!(isPlus ? stream.goToFreshNow(position) : stream.goToNow(position))) return undefined;
    const plus = isPlus && { ticket, withAttributes: false };
    return this.#listing(header, open, position, request.size, plus);
  }

  async #readdir(header: RequestHeader, bytes: Buffer, isPlus: boolean): Promise<Payload> {
    const { fh, offset: position, size: room } = fuseReadIn.body(bytes);
    const open = this.#directories.get(fh);
    if (!open) throw new DfsError('EBADF', 'no such directory handle');
    const { stream } = open;
    const ticket = this.#cache.ticket();
    const withAttributes = this.#stats.wantsAttributes(header.pid);
    if (isPlus) {
      const limit = Math.max(1, Math.floor(room / MIN_DIRENT_PLUS_BYTES));
      await stream.goToFresh(position, withAttributes, limit);
    } else await stream.goTo(position, withAttributes);
    return this.#listing(header, open, position, room, isPlus && { ticket, withAttributes });
  }

  /** Entries of the stream's page from a position on. */
  #listing(
    header: RequestHeader,
    { stream, movesAtime }: OpenDirectory,
    position: number,
    room: number,
    plus: PlusListing,
  ): Payload {
    const { inode, pid } = header;
    const reply = this.#replyFor(stream, position, room, plus !== false);
    if (this.#addDots(reply, inode, stream, position)) {
      const isWithheld = this.#addEntries(reply, header, stream, position, plus);
      if (isWithheld) this.#stats.listed(pid, inode);
    }
    if (movesAtime) this.#fileSystem.accessed(inode);
    return [reply.bytes];
  }

  #replyFor({ page, position: start }: DirectoryStream, position: number, room: number, isPlus: boolean) {
    const first = Math.max(0, position - start);
    const dots = DOTS * MIN_DIRENT_PLUS_BYTES;
    return new ListingReply(Math.min(room, dots + ListingReply.bytesFor(page.names, first, isPlus)), isPlus);
  }

  /** For `.` and `..` the kernel ignores the attributes; inode 0 says that there are none (fuse_direntplus_link). */
  #addDots(reply: ListingReply, inode: number, { page }: DirectoryStream, position: number): boolean {
    for (let next = position + 1; next <= DOTS; next += 1) {
      const leadsTo = next === 1 ? inode : page.parent;
      if (reply.add(DOT_NAMES, 0, next, leadsTo, DIRECTORY_TYPE, next) < 0) return false;
    }
    return true;
  }

  /** Returns whether attributes were left out of an entry that is no directory. */
  #addEntries(
    reply: ListingReply,
    { inode: directory, pid }: RequestHeader,
    { page, position: start }: DirectoryStream,
    position: number,
    plus: PlusListing,
  ): boolean {
    const { names, attributesOf } = page;
    const { bytes, starts, lengths, inodes, types, count } = names;
    // Directories come with attributes, so nobody looks them up.
    const most = plus && position === 0 && this.#stats.isUnknown(pid) ? TRIAL_NAMES : Infinity;
    let withheld = 0;
    for (let index = Math.max(0, position - start); index < count; index += 1) {
      const inode = inodes[index] ?? 0;
      const type = types[index] ?? 0;
      const next = start + index + 1;
      const place = reply.add(bytes, starts[index] ?? 0, lengths[index] ?? 0, inode, type, next);
      if (place < 0) break;
      if (type !== DIRECTORY_TYPE && (!plus || !plus.withAttributes || withheld === 0)) {
        withheld += 1;
        if (withheld === most) break;
        continue;
      }
      const attributes = plus ? attributesOf(inode) : undefined;
      if (!plus || !attributes) continue;
      this.#cache.noteLookup(attributes);
      const times = this.#cache.entryTimes(plus.ticket, directory, attributes);
      writeEntry(reply.entryAt(place), attributes, times);
    }
    return withheld > 0;
  }

  async #fsyncdir({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    checkFlags('fsync_flags', fuseFsyncIn.body(bytes).fsyncFlags);
    return await done(this.#fileSystem.fsyncDirectory(inode));
  }

  releasedir(bytes: Buffer): Payload {
    this.#directories.delete(fuseReleaseIn.body(bytes).fh);
    return NOTHING;
  }
}
