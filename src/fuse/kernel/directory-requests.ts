/** The requests about open directories. */
import { constants } from 'node:fs';
import { DfsError } from '../../protocol/errors.js';
import type { Payload } from '../../protocol/frame.js';
import type { KernelState } from '../../protocol/take-over.js';
import type { DirectoryPage, FileSystem } from '../../vfs/file-system.js';
import { writeEntry } from './attributes.js';
import type { Callers, Requester } from './callers.js';
import { DirectoryStream, type PlacedEntry, type StreamState } from './directory-stream.js';
import type { KernelCache } from './kernel-cache.js';
import { dirent, done, NOTHING, openOut, type RequestHandler } from './replies.js';
import { checkFlags } from './request-flags.js';
import { fuseDirent, fuseEntryOut, fuseFsyncIn, fuseOpenIn, fuseReadIn, fuseReleaseIn } from './structs.js';
import { Opcode, type RequestHeader } from './wire.js';

/** fuse_direntplus with a name of one to eight bytes. */
const MIN_DIRENT_PLUS_BYTES = fuseEntryOut.bytes + fuseDirent.bytes + 8;
const { O_NOATIME } = constants;

interface OpenDirectory {
  readonly inode: number;
  readonly opener: Requester;
  /** Whether the opener may read it is known. */
  isAllowed: boolean;
  readonly stream: DirectoryStream;
  /** It was opened without O_NOATIME. */
  readonly movesAtime: boolean;
}

export class DirectoryRequests {
  readonly #fileSystem: FileSystem;
  readonly #cache: KernelCache;
  readonly #callers: Callers;
  /** handle → the directory it reads */
  readonly #directories = new Map<number, OpenDirectory>();
  #lastDirectory = 0;
  /** opcode → what answers it */
  readonly handlers: ReadonlyMap<number, RequestHandler>;

  constructor(fileSystem: FileSystem, cache: KernelCache, callers: Callers) {
    this.#fileSystem = fileSystem;
    this.#cache = cache;
    this.#callers = callers;
    this.handlers = new Map<number, RequestHandler>([
      [Opcode.opendir, async (h, b) => await this.#opendir(h, b)],
      [Opcode.readdir, async (h, b) => await this.#readdir(h, b, false)],
      [Opcode.readdirplus, async (h, b) => await this.#readdir(h, b, true)],
      [Opcode.releasedir, async (_, b) => await this.#releasedir(b)],
      [Opcode.fsyncdir, async (h, b) => await this.#fsyncdir(h, b)],
    ]);
  }

  async #opendir({ inode, uid, gid, pid }: RequestHeader, bytes: Buffer): Promise<Payload> {
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
    const readdirPage = async (...page: Parameters<FileSystem['readdirPage']>): Promise<DirectoryPage> => {
      if (open.isAllowed) return await this.#fileSystem.readdirPage(...page);
      const first = await this.#callers.act(open.opener, async files => await files.readdirPage(...page));
      open.isAllowed = true;
      return first;
    };
    const { inode, opener, isAllowed, movesAtime } = opened;
    const stream = new DirectoryStream({ readdirPage }, inode, begun);
    const open: OpenDirectory = { inode, opener, isAllowed, movesAtime, stream };
    this.#directories.set(handle, open);
  }

  async #readdir({ inode }: RequestHeader, bytes: Buffer, isPlus: boolean): Promise<Payload> {
    const { fh, offset: position, size: room } = fuseReadIn.body(bytes);
    const open = this.#directories.get(fh);
    if (!open) throw new DfsError('EBADF', 'no such directory handle');
    const { stream, movesAtime } = open;
    const ticket = this.#cache.ticket();
    const entries = isPlus
      ? await stream.freshFrom(position, Math.max(1, Math.floor(room / MIN_DIRENT_PLUS_BYTES)))
      : await stream.from(position);
    const page: Buffer[] = [];
    let used = 0;
    for (const entry of entries) {
      const encoded = dirent(entry, isPlus ? fuseEntryOut.bytes : 0);
      if (used + encoded.length > room) break;
      if (isPlus) this.#writeEntry(encoded, ticket, inode, entry);
      page.push(encoded);
      used += encoded.length;
    }
    if (movesAtime) this.#fileSystem.accessed(inode);
    // One piece: writev(2) takes no more than 1024.
    return [Buffer.concat(page)];
  }

  async #fsyncdir({ inode }: RequestHeader, bytes: Buffer): Promise<Payload> {
    checkFlags('fsync_flags', fuseFsyncIn.body(bytes).fsyncFlags);
    return await done(this.#fileSystem.fsyncDirectory(inode));
  }

  async #releasedir(bytes: Buffer): Promise<Payload> {
    this.#directories.delete(fuseReleaseIn.body(bytes).fh);
    return NOTHING;
  }

  /** For `.` and `..` the kernel ignores the attributes; inode 0 says that there are none (fuse_direntplus_link). */
  #writeEntry(bytes: Buffer, ticket: number, directory: number, { entry }: PlacedEntry): void {
    if (!entry) return;
    this.#cache.noteLookup(entry.attributes);
    writeEntry(bytes, entry.attributes, this.#cache.entryTimes(ticket, directory, entry.attributes));
  }
}
