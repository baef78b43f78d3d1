/**
 * Changes of names and attributes that this client decides alone, of inodes that it has to itself (client/leases/held-inodes.ts): of
 * each it foretells what the metadata server will make of it, from the attributes and names that it keeps under its
 * lease. Whatever it does not know for certain, or would be refused, it leaves to the server: then these return undefined.
 *
 * What is foretold is compared with what the server says when it has committed it (`confirm`).
 */
import type { TSchema } from '@sinclair/typebox';
import type { Timespec } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { DfsError } from '../../protocol/errors.js';
import { isDirectory, PERMISSION_BITS, S_IFDIR, S_IFREG } from '../../protocol/file-mode.js';
import type { Command, RequestOf } from '../../protocol/command.js';
import { blocks } from '../../protocol/content-commands.js';
import { link, mkdir, mknod, rename, rmdir, setattr, unlink } from '../../protocol/namespace-commands.js';
import type { Attributes, Caller } from '../../protocol/types.js';
import {
  setattrPermissionRefusal,
  setattrRefusal,
  withAttributes,
  type SetattrRequest,
} from '../../rules/attributes.js';
import { committed as withCommit, extentChange } from '../../rules/content.js';
import {
  linked,
  linkRefusal,
  rmdirRefusal,
  subdirectoryRefusal,
  touched,
  unlinked,
  unlinkRefusal,
} from '../../rules/entries.js';
import { entryNameRefusal, newNameRefusal } from '../../rules/names.js';
import { newInode } from '../../rules/new-inode.js';
import { Access, accessRefusal, isAclConsulted, stickyRefusal } from '../../rules/permissions.js';
import { renamed, renameMeaning, renameRoomRefusal, replaceRefusal } from '../../rules/rename.js';
import type { AttributeCache } from '../caches/attribute-cache.js';
import type { CacheLease } from '../leases/cache-lease.js';
import type { HeldInodes } from '../leases/held-inodes.js';
import type { ChangeLog } from './change-log.js';
import type { NameCache } from '../caches/name-cache.js';
import type { ServerClock } from '../session/server-clock.js';
import type { XattrCache } from '../caches/xattr-cache.js';

/** Who asks; left out for root. */
interface By {
  readonly caller?: Caller;
}
/** What a new inode gets from whoever creates it. */
export interface NewInode {
  readonly mode: number;
  readonly umask?: number | undefined;
  readonly uid: number;
  readonly gid: number;
}
type Blocks = Omit<RequestOf<typeof blocks>, 'once'>;

/** What of this client's stands in the way of deciding alone. */
export interface ClientState {
  /** Requests that change something are under way: what they make of it is not known yet. */
  readonly isBusy: () => boolean;
  readonly isOpen: (inode: number) => boolean;
  /** A program was told that something is done with these files, and it is not. */
  readonly lost: (files: readonly number[], reason: DfsError) => void;
}

/** Told of a bug: the metadata server made something else of a change than this client had foretold. */
export type OnMisprediction = (foretold: Attributes, actual: Attributes) => void;

export interface ForetoldChangesOptions {
  readonly clock: ServerClock;
  readonly log: Logger;
  readonly lease: CacheLease;
  readonly held: HeldInodes;
  readonly attributes: AttributeCache;
  readonly names: NameCache;
  readonly xattrs: XattrCache;
  readonly changes: ChangeLog;
  readonly client: ClientState;
  /** See ClientOptions. */
  readonly onMisprediction?: OnMisprediction | undefined;
}

/** A change in the log takes a bounded part of the room that the server keeps for it. */
const MAX_EXTENTS_AHEAD = 256;
/** In the place of the number that the batch has, where a change is checked. */
const ANY_ONCE = { session: 0, sequence: 0, acknowledged: 0 };

export class ForetoldChanges {
  readonly #options: ForetoldChangesOptions;
  constructor(options: ForetoldChangesOptions) {
    this.#options = options;
  }

  /** An empty regular file; undefined when the server is to decide. */
  create(parent: number, name: Uint8Array, created: NewInode, goal: number, by: By): Attributes | undefined {
    const directory = this.#whereFree(parent, name, by);
    const number = directory && this.#options.changes.takeNumber();
    if (number === undefined || !directory) return undefined;
    const at = this.#now();
    const mode = S_IFREG | (created.mode & PERMISSION_BITS);
    const made = newInode(directory, number, { ...created, mode, goal }, at);
    const request = {
      ...created,
      parent,
      name,
      rdev: 0,
      open: false,
      exclusive: true,
      goal,
      number,
      ...by,
    };
    if (!this.#append(mknod, request, at, [made, touched(directory, 0, at)])) return undefined;
    this.#made(made);
    this.#options.names.linked(parent, name, number);
    return made;
  }

  /** A directory; undefined when the server is to decide. */
  mkdir(parent: number, name: Uint8Array, created: NewInode, by: By): Attributes | undefined {
    const directory = this.#whereFree(parent, name, by);
    if (!directory || subdirectoryRefusal(directory)) return undefined;
    const number = this.#options.changes.takeNumber();
    if (number === undefined) return undefined;
    const at = this.#now();
    const mode = S_IFDIR | (created.mode & PERMISSION_BITS);
    const made = newInode(directory, number, { ...created, mode }, at);
    const request = { parent, name, ...created, number, ...by };
    if (!this.#append(mkdir, request, at, [made, touched(directory, 1, at)])) return undefined;
    this.#made(made);
    const { names, lease } = this.#options;
    names.linked(parent, name, number);
    names.created(lease.ticket(), number, parent);
    return made;
  }

  /** A second name of what is no directory and has one; returns its attributes. */
  link(inode: number, parent: number, name: Uint8Array, by: By): Attributes | undefined {
    const directory = this.#writable(parent, by);
    const known = directory && this.#own(inode);
    if (!known || linkRefusal(known, false)) return undefined;
    const { names } = this.#options;
    if (newNameRefusal(name) || names.find(parent, name) !== 0) return undefined;
    const at = this.#now();
    const changed = linked(known, at);
    const request = { inode, parent, name, ...by };
    if (!this.#append(link, request, at, [changed, touched(directory, 0, at)])) return undefined;
    names.linked(parent, name, inode);
    return changed;
  }

  /** Takes a name of what is no directory and not open away. Returns the inode, and its links that are left. */
  unlink(
    parent: number,
    name: Uint8Array,
    by: By,
  ): { readonly inode: number; readonly nlink: number } | undefined {
    const directory = this.#writable(parent, by);
    const removed = directory && this.#entry(parent, name);
    if (!removed || unlinkRefusal(removed, name) || !this.#mayReplace(directory, removed, by))
      return undefined;
    const at = this.#now();
    const left = unlinked(removed, at);
    if (!this.#append(unlink, { parent, name, ...by }, at, [touched(directory, 0, at), left]))
      return undefined;
    this.#options.names.unlinked(parent, name);
    return { inode: removed.inode, nlink: left.nlink };
  }

  /** Removes an empty directory; returns its inode. */
  rmdir(parent: number, name: Uint8Array, by: By): number | undefined {
    const directory = this.#writable(parent, by);
    const removed = directory && this.#entry(parent, name);
    if (!removed || rmdirRefusal(removed, name) || removed.nlink !== 2) return undefined;
    const { names } = this.#options;
    const isEmpty = names.page(removed.inode, new Uint8Array(), 1)?.names.length === 0;
    if (!isEmpty || stickyRefusal(directory, removed, by.caller)) return undefined;
    const at = this.#now();
    const changed = [touched(directory, -1, at), unlinked(removed, at)];
    if (!this.#append(rmdir, { parent, name, ...by }, at, changed)) return undefined;
    names.unlinked(parent, name);
    names.forget(removed.inode);
    return removed.inode;
  }

  /**
   * Renames what is no directory, or a directory within its own, to a name that is free or a closed file's. Returns
   * whether it did.
   */
  rename(parent: number, name: Uint8Array, newParent: number, newName: Uint8Array, by: By): boolean {
    const from = this.#writable(parent, by);
    const to = parent === newParent ? from : this.#writable(newParent, by);
    const moved = from && to && this.#entry(parent, name);
    if (!moved || (isDirectory(moved.mode) && parent !== newParent)) return false;
    const { names } = this.#options;
    const found = entryNameRefusal(newName) ? undefined : names.find(newParent, newName);
    if (found === undefined || found === moved.inode || stickyRefusal(from, moved, by.caller)) return false;
    const target = found === 0 ? undefined : this.#entry(newParent, newName);
    if (found !== 0) {
      const isReplaceable = target && !isDirectory(target.mode) && !replaceRefusal(moved, target, newName);
      if (!isReplaceable || !this.#mayReplace(to, target, by)) return false;
    }
    const records = { from, to, moved, target };
    if (renameRoomRefusal(records)) return false;
    const at = this.#now();
    const after = renamed(records, renameMeaning(0), at);
    const changed = [after.from, after.moved];
    if (after.to !== after.from) changed.push(after.to);
    if (after.target) changed.push(after.target);
    const request = { parent, name, newParent, newName, flags: 0, ...by };
    if (!this.#append(rename, request, at, changed)) return false;
    names.unlinked(parent, name);
    names.linked(newParent, newName, moved.inode);
    return true;
  }

  /** Changes mode, owner and times, but not the size. */
  setattr(request: SetattrRequest): Attributes | undefined {
    const { inode, mode, uid, gid, size, privilegeLoss, caller } = request;
    const known = this.#isReady() ? this.#own(inode) : undefined;
    if (!known || size !== undefined) return undefined;
    const isOwnerGiven = uid !== undefined || gid !== undefined;
    // An ACL, and capabilities, go along with them.
    const changesXattrs = isOwnerGiven || mode !== undefined || privilegeLoss !== undefined;
    if ((changesXattrs || isAclConsulted(known, caller)) && !this.#options.xattrs.hasNone(inode))
      return undefined;
    if (setattrRefusal(known, request) ?? setattrPermissionRefusal(known, request, undefined))
      return undefined;
    const at = this.#now();
    const changed = withAttributes(known, request, at);
    return this.#append(setattr, request, at, [changed]) ? changed : undefined;
  }

  /**
   * Commits what was written behind the end of a file. `committed` and `refused` tell what the server says.
   * Returns the file's attributes.
   */
  commit(
    request: Blocks,
    committed: () => void,
    refused: (reason: DfsError) => void,
  ): Attributes | undefined {
    const { inode, extents, durable, privilegeLoss, replaces } = request;
    const known = this.#isReady() ? this.#own(inode) : undefined;
    const [first] = extents;
    if (!known || !first || durable || privilegeLoss || replaces) return undefined;
    if (extents.length > MAX_EXTENTS_AHEAD) return undefined;
    if (request.append === true ? first.offset !== known.size : first.offset < known.size) return undefined;
    const at = this.#now();
    const changed = withCommit(known, request, extentChange(extents), at);
    // Nobody else can append meanwhile, so the bytes have their place.
    const { append: _, ...placed } = request;
    const isLogged = this.#append(blocks, placed, at, [changed], committed, reason => {
      const { attributes, lease } = this.#options;
      attributes.change(attributes.ticket(), [], [inode]);
      void lease.dropFalse([{ inode, version: changed.version }]);
      refused(reason);
    });
    return isLogged ? changed : undefined;
  }

  /** What the server says of inodes once it has committed a batch; returns those of which something else was told. */
  confirm(changed: readonly Attributes[]): Attributes[] {
    const { attributes, changes, log, onMisprediction } = this.#options;
    return changed.filter(actual => {
      const foretold = attributes.get(actual.inode);
      if (!foretold || changes.isPending(actual.inode) || this.#options.client.isBusy()) return false;
      if (isSame(foretold, actual)) return false;
      onMisprediction?.(foretold, actual);
      log.warn({ foretold, actual }, 'the metadata server made something else of a change');
      return true;
    });
  }

  #isReady(): boolean {
    return this.#options.changes.isOpen && !this.#options.client.isBusy();
  }

  /** The directory in which the name is known to be free, and everything is known that a new inode inherits. */
  #whereFree(parent: number, name: Uint8Array, by: By): Attributes | undefined {
    const directory = this.#writable(parent, by);
    const { names, xattrs } = this.#options;
    if (!directory || newNameRefusal(name) || names.find(parent, name) !== 0) return undefined;
    return xattrs.hasNone(parent) ? directory : undefined;
  }

  /** A directory that is known, in which who asks may change names, for certain. */
  #writable(inode: number, { caller }: By): Attributes | undefined {
    const directory = this.#isReady() ? this.#own(inode) : undefined;
    if (!directory || !isDirectory(directory.mode) || directory.nlink === 0) return undefined;
    if (isAclConsulted(directory, caller) && !this.#options.xattrs.hasNone(inode)) return undefined;
    const wanted = Access.write | Access.execute;
    return accessRefusal(directory, caller, wanted, undefined) ? undefined : directory;
  }

  #entry(parent: number, name: Uint8Array): Attributes | undefined {
    const inode = entryNameRefusal(name) ? undefined : this.#options.names.find(parent, name);
    return inode ? this.#own(inode) : undefined;
  }

  /** What is known of an inode that nobody else may use. */
  #own(inode: number): Attributes | undefined {
    const { held, attributes } = this.#options;
    return held.has(inode) ? attributes.get(inode) : undefined;
  }

  /** Whether a name of it can go without anybody's losing what he has open. */
  #mayReplace(directory: Attributes, removed: Attributes, by: By): boolean {
    return (
      removed.nlink > 0 &&
      !this.#options.client.isOpen(removed.inode) &&
      !stickyRefusal(directory, removed, by.caller)
    );
  }

  #now(): Timespec {
    return this.#options.clock.now();
  }

  /** A new inode has no extended attributes. */
  #made({ inode }: Attributes): void {
    const { xattrs, attributes, held } = this.#options;
    held.add(inode);
    xattrs.none(attributes.ticket(), inode);
  }

  /**
   * Puts a change into the log. False when the server would not even take its request, by the same check: then it is for
   * the server to say so.
   * @param refused by default the files that it changes are told of as lost
   */
  #append(
    command: Command<TSchema>,
    request: object,
    at: Timespec,
    changed: readonly Attributes[],
    committed: () => void = () => undefined,
    refused: (reason: DfsError) => void = reason => this.#lost(changed, reason),
  ): boolean {
    if (!command.request.accepts({ ...request, once: ANY_ONCE })) return false;
    const { attributes, changes } = this.#options;
    // Who opens what has no name left asks the server, whether it is still there.
    const gone = changed.filter(({ nlink }) => nlink === 0).map(({ inode }) => inode);
    const left = changed.filter(({ nlink }) => nlink > 0);
    attributes.change(attributes.ticket(), left, gone);
    changes.append(command, request, { at, inodes: changed.map(({ inode }) => inode), committed, refused });
    return true;
  }

  #lost(changed: readonly Attributes[], reason: DfsError): void {
    const files = changed.filter(({ mode }) => !isDirectory(mode)).map(({ inode }) => inode);
    if (files.length > 0) this.#options.client.lost(files, reason);
  }
}

const isSameTime = (a: Timespec, b: Timespec): boolean => a.sec === b.sec && a.nsec === b.nsec;

const COMPARED = ['mode', 'nlink', 'uid', 'gid', 'rdev', 'size', 'allocated', 'version', 'goal'] as const;

function isSame(a: Attributes, b: Attributes): boolean {
  const isEqual = COMPARED.every(field => a[field] === b[field]);
  return (
    isEqual && isSameTime(a.atime, b.atime) && isSameTime(a.mtime, b.mtime) && isSameTime(a.ctime, b.ctime)
  );
}
