/** Changes of names that this client decides alone (foretold-changes.ts). */
import { ACCESS_ACL, DEFAULT_ACL } from '../../protocol/attribute-names.js';
import { isDirectory, PERMISSION_BITS, S_IFDIR, S_IFREG } from '../../protocol/file-mode.js';
import { link, mkdir, mknod, rename, rmdir, symlink, unlink } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import {
  linked,
  linkRefusal,
  rmdirRefusal,
  subdirectoryRefusal,
  touched,
  unlinked,
  unlinkRefusal,
} from '../../rules/entries.js';
import { entryNameRefusal, newNameRefusal, symlinkTargetRefusal } from '../../rules/names.js';
import { createdSymlink, newInode } from '../../rules/new-inode.js';
import { Access, accessRefusal, stickyRefusal } from '../../rules/permissions.js';
import { renamed, renameMeaning, renameRoomRefusal, replaceRefusal } from '../../rules/rename.js';
import type { By, Creation, Owner } from '../namespace/credentials.js';
import type { Foretelling, ForetellingOptions } from './foretelling.js';

export class ForetoldNames {
  readonly #foretelling: Foretelling;
  readonly #options: ForetellingOptions;

  constructor(foretelling: Foretelling, options: ForetellingOptions) {
    this.#foretelling = foretelling;
    this.#options = options;
  }

  /** An empty regular file; undefined when the server is to decide. */
  create(parent: number, name: Uint8Array, created: Creation, goal: number, by: By): Attributes | undefined {
    const directory = this.#whereInherited(parent, name, by);
    const number = directory && this.#options.changes.takeNumber();
    if (number === undefined || !directory) return undefined;
    const at = this.#foretelling.now();
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
    if (!this.#foretelling.append(mknod, request, at, [made, touched(directory, 0, at)])) return undefined;
    this.#made(made);
    this.#options.names.linked(parent, name, number);
    return made;
  }

  /** A directory; undefined when the server is to decide. */
  mkdir(parent: number, name: Uint8Array, created: Creation, by: By): Attributes | undefined {
    const directory = this.#whereInherited(parent, name, by);
    if (!directory || subdirectoryRefusal(directory)) return undefined;
    const number = this.#options.changes.takeNumber();
    if (number === undefined) return undefined;
    const at = this.#foretelling.now();
    const mode = S_IFDIR | (created.mode & PERMISSION_BITS);
    const made = newInode(directory, number, { ...created, mode }, at);
    const request = { parent, name, ...created, number, ...by };
    if (!this.#foretelling.append(mkdir, request, at, [made, touched(directory, 1, at)])) return undefined;
    this.#made(made);
    const { names, lease } = this.#options;
    names.linked(parent, name, number);
    names.created(lease.ticket(), number, parent);
    return made;
  }

  /** A symbolic link, of which the target is known here from then on. */
  symlink(
    parent: number,
    name: Uint8Array,
    target: Uint8Array,
    owner: Owner,
    by: By,
  ): Attributes | undefined {
    // It has no ACL, so what the directory has does not matter.
    const directory = this.#whereFree(parent, name, by);
    if (!directory || symlinkTargetRefusal(target)) return undefined;
    const number = this.#options.changes.takeNumber();
    if (number === undefined) return undefined;
    const at = this.#foretelling.now();
    const made = newInode(directory, number, createdSymlink(target, owner), at);
    const { uid, gid } = owner;
    const request = { parent, name, target, uid, gid, number, ...by };
    if (!this.#foretelling.append(symlink, request, at, [made, touched(directory, 0, at)])) return undefined;
    this.#made(made);
    const { names, targets, lease } = this.#options;
    targets.keep(lease.ticket(), number, target);
    names.linked(parent, name, number);
    return made;
  }

  /** A second name of what is no directory and has one; returns its attributes. */
  link(inode: number, parent: number, name: Uint8Array, by: By): Attributes | undefined {
    const directory = this.#writable(parent, by);
    const known = directory && this.#foretelling.own(inode);
    if (!known || linkRefusal(known, false)) return undefined;
    const { names } = this.#options;
    if (newNameRefusal(name) || names.find(parent, name) !== 0) return undefined;
    const at = this.#foretelling.now();
    const changed = linked(known, at);
    const request = { inode, parent, name, ...by };
    if (!this.#foretelling.append(link, request, at, [changed, touched(directory, 0, at)])) return undefined;
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
    const at = this.#foretelling.now();
    const left = unlinked(removed, at);
    if (!this.#foretelling.append(unlink, { parent, name, ...by }, at, [touched(directory, 0, at), left]))
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
    const at = this.#foretelling.now();
    const changed = [touched(directory, -1, at), unlinked(removed, at)];
    if (!this.#foretelling.append(rmdir, { parent, name, ...by }, at, changed)) return undefined;
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
    const at = this.#foretelling.now();
    const after = renamed(records, renameMeaning(0), at);
    const changed = [after.from, after.moved];
    if (after.to !== after.from) changed.push(after.to);
    if (after.target) changed.push(after.target);
    const request = { parent, name, newParent, newName, flags: 0, ...by };
    if (!this.#foretelling.append(rename, request, at, changed)) return false;
    names.unlinked(parent, name);
    names.linked(newParent, newName, moved.inode);
    return true;
  }

  /** The directory in which the name is known to be free. */
  #whereFree(parent: number, name: Uint8Array, by: By): Attributes | undefined {
    const directory = this.#writable(parent, by);
    const isFree = directory && !newNameRefusal(name) && this.#options.names.find(parent, name) === 0;
    return isFree ? directory : undefined;
  }

  /** The same, if everything is known that a new inode inherits. */
  #whereInherited(parent: number, name: Uint8Array, by: By): Attributes | undefined {
    const directory = this.#whereFree(parent, name, by);
    return directory && this.#options.xattrs.lacks(parent, ACCESS_ACL, DEFAULT_ACL) ? directory : undefined;
  }

  /** A directory that is known, in which who asks may change names, for certain. */
  #writable(inode: number, { caller }: By): Attributes | undefined {
    const directory = this.#foretelling.isReady ? this.#foretelling.own(inode) : undefined;
    if (!directory || !isDirectory(directory.mode) || directory.nlink === 0) return undefined;
    if (this.#options.xattrs.mayAclDecide(directory, caller)) return undefined;
    const wanted = Access.write | Access.execute;
    return accessRefusal(directory, caller, wanted, undefined) ? undefined : directory;
  }

  #entry(parent: number, name: Uint8Array): Attributes | undefined {
    const inode = entryNameRefusal(name) ? undefined : this.#options.names.find(parent, name);
    return inode ? this.#foretelling.own(inode) : undefined;
  }

  /** Whether a name of it can go without anybody's losing what he has open. */
  #mayReplace(directory: Attributes, removed: Attributes, by: By): boolean {
    return (
      removed.nlink > 0 &&
      !this.#options.client.isOpen(removed.inode) &&
      !stickyRefusal(directory, removed, by.caller)
    );
  }

  /** A new inode has no extended attributes. */
  #made({ inode }: Attributes): void {
    const { xattrs, attributes, held } = this.#options;
    held.add(inode);
    xattrs.none(attributes.ticket(), inode);
  }
}
