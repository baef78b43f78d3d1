/** open(2) of regular files, with O_CREAT, O_TMPFILE and O_TRUNC; an open that fails halfway leaves no handle behind. */
import { constants } from 'node:fs';
import type { AttributeTicket } from '../client/caches/attribute-cache.js';
import type { Client } from '../client/client.js';
import * as namespace from '../client/namespace/namespace.js';
import type { MetadataSession } from '../client/session/metadata-session.js';
import { DfsError, hasCode } from '../protocol/errors.js';
import { isRegularFile } from '../protocol/file-mode.js';
import type { Attributes, PrivilegeLoss } from '../protocol/types.js';
import type { Creation, FileHandle } from './file-system.js';
import type { OpenFiles } from './open-files.js';
import { accessMode } from './range-changes.js';
import type { VfsOptions } from './vfs-options.js';

/** What open(2) asks of a file's permissions (the `access` of the request). */
const MAY_EXECUTE = 1;
const MAY_WRITE = 2;
const MAY_READ = 4;
/** __FMODE_EXEC of <linux/fs.h>: opened by execve(2), which needs no permission to read. */
const OPEN_TO_EXECUTE = 0x20;

export interface Opened {
  readonly handle: FileHandle;
  readonly attributes: Attributes;
}

export interface FileOpenerOptions extends Pick<Client, 'grants'>, Pick<VfsOptions, 'goal' | 'chunkBytes'> {
  readonly session: MetadataSession;
  readonly nodes: Pick<Client['nodes'], 'distrusted'>;
  readonly files: Pick<OpenFiles, 'add' | 'release' | 'present' | 'named'>;
  /** Nothing is opened for writing. */
  readonly readOnly: boolean;
  /** Makes a file empty, without asking whether the caller may: that was asked when the file was opened. */
  readonly empty: (inode: number, privilegeLoss: PrivilegeLoss | undefined) => Promise<void>;
}

export class FileOpener {
  readonly #options: FileOpenerOptions;
  /** The goal of the file that was created last, and so probably of the next one. */
  #usualGoal: number;

  constructor(options: FileOpenerOptions) {
    this.#options = options;
    this.#usualGoal = options.goal;
  }

  /** As FileSystem.open. */
  async open(
    inode: number,
    openFlags: number,
    privilegeLoss: PrivilegeLoss | undefined,
    { caller }: namespace.By,
  ): Promise<FileHandle> {
    const { attributes: cache, opens, rights } = this.#options.session;
    const mayOnlyRead = rights?.readOnly === true || this.#options.readOnly;
    if (mayOnlyRead && (accessOf(openFlags) & MAY_WRITE) !== 0)
      throw new DfsError('EROFS', 'this machine may only read here');
    const ticket = cache.ticket();
    // Whether others than root may, the server says.
    const known = caller ? undefined : opens.openKnown(inode);
    const attributes = known ?? (await opens.open(inode, accessOf(openFlags), caller));
    return await this.#opened(attributes, openFlags, ticket, privilegeLoss);
  }

  /** As FileSystem.create. */
  async create(
    parent: number,
    name: Uint8Array,
    creation: Creation,
    exclusive: boolean,
    openFlags: number,
    privilegeLoss: PrivilegeLoss | undefined,
    by: namespace.By,
  ): Promise<Opened> {
    const { session, grants, nodes, goal, chunkBytes: maxBytes, files } = this.#options;
    const { opens, attributes: cache } = session;
    const storing = { grants, goal, usualGoal: this.#usualGoal, maxBytes, exclude: nodes.distrusted() };
    const created = await namespace.create(session, parent, name, creation, exclusive, storing, by);
    if (created.isNew) return this.#named(name, created, openFlags);
    this.#usualGoal = created.attributes.goal;
    files.named(name, created.attributes.inode);
    const { inode } = created.attributes;
    // Another handle's last close may have been on its way while the server found the file.
    const ticket = cache.ticket();
    const opened = await opens.open(inode, accessOf(openFlags), by.caller).catch(async (error: unknown) => {
      await opens.giveBack(inode);
      // Gone since it was found; with ESTALE the kernel looks again.
      throw hasCode(error, 'ENOENT') ? new DfsError('ESTALE', 'the file was removed meanwhile') : error;
    });
    const handle = await this.#opened(opened, openFlags, ticket, privilegeLoss);
    const attributes = await this.#orClosed(handle, async () => await session.getattr(inode));
    return { handle, attributes: files.present(attributes) };
  }

  /** As `create` of a file that is not there, if this client may decide that alone, and at once; else undefined. */
  createNow(
    parent: number,
    name: Uint8Array,
    creation: Creation,
    openFlags: number,
    by: namespace.By,
  ): Opened | undefined {
    const { session, goal } = this.#options;
    const created = namespace.createNow(session, parent, name, creation, goal, by);
    return created && this.#named(name, created, openFlags);
  }

  /** As FileSystem.tmpfile. */
  async tmpfile(directory: number, creation: Creation, openFlags: number, by: namespace.By): Promise<Opened> {
    const { session, goal } = this.#options;
    return this.#created(await namespace.tmpfile(session, directory, creation, goal, by), openFlags);
  }

  /** A handle on a file that was made just now. */
  #created({ attributes, ticket }: namespace.Created, openFlags: number): Opened {
    return { handle: this.#options.files.add(attributes, openFlags, ticket, true), attributes };
  }

  /** The same for one that has a name. */
  #named(name: Uint8Array, created: namespace.Created, openFlags: number): Opened {
    const { goal, inode } = created.attributes;
    this.#usualGoal = goal;
    this.#options.files.named(name, inode);
    return this.#created(created, openFlags);
  }

  /** A handle on what the session has just opened; with O_TRUNC empty. */
  async #opened(
    attributes: Attributes,
    openFlags: number,
    ticket: AttributeTicket,
    privilegeLoss: PrivilegeLoss | undefined,
  ): Promise<FileHandle> {
    const { session, files, empty } = this.#options;
    const { inode } = attributes;
    if (!isRegularFile(attributes.mode)) {
      await session.opens.release(inode);
      throw new DfsError('EINVAL', 'only regular files are opened through DFS');
    }
    const handle = files.add(attributes, openFlags, ticket);
    // An empty file as well: POSIX open() marks its times, and somebody here may have written what is not committed.
    if ((openFlags & constants.O_TRUNC) !== 0)
      await this.#orClosed(handle, async () => await empty(inode, privilegeLoss));
    return handle;
  }

  /** Does what belongs to opening a file. When that fails nobody hears of the handle, so it is closed. */
  async #orClosed<Result>(handle: FileHandle, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      // Why the open fails matters more than why the close does, which waits for what was closed ahead.
      this.#options.files.release(handle).catch(() => undefined);
      throw error;
    }
  }
}

function accessOf(openFlags: number): number {
  const mode = accessMode(openFlags);
  const isReading = mode !== constants.O_WRONLY && (openFlags & OPEN_TO_EXECUTE) === 0;
  const isWriting = mode !== constants.O_RDONLY || (openFlags & constants.O_TRUNC) !== 0;
  return (
    (isReading ? MAY_READ : 0) |
    (isWriting ? MAY_WRITE : 0) |
    ((openFlags & OPEN_TO_EXECUTE) === 0 ? 0 : MAY_EXECUTE)
  );
}
