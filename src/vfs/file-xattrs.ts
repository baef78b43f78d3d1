/**
 * Extended attributes (xattr(7)) of inodes, some of which are open: most files have none, which is asked once a file, and the
 * kernel asks for `security.capability` before each write.
 */
import * as namespace from '../client/namespace/namespace.js';
import type { MetadataSession } from '../client/session/metadata-session.js';
import { CAPABILITY } from '../protocol/attribute-names.js';
import { DfsError, hasCode } from '../protocol/errors.js';
import { GOAL_ATTRIBUTE } from '../protocol/limits.js';
import type { OpenFile } from './open-file.js';

/** Told of every file and kept with none. */
const GOAL = Buffer.from(GOAL_ATTRIBUTE);
/** Names that an attribute can have (xattr(7)); what is wrong with another one the server says. */
const USUAL_XATTRS = /^(?:(?:user|trusted|security)[.][^\0]+|system[.]posix_acl_(?:access|default))$/s;

export interface FileXattrsOptions {
  readonly session: MetadataSession;
  /** The open files. */
  readonly files: {
    get(inode: number): Pick<OpenFile, 'hasNoCapability' | 'privilegeLoss' | 'settledInTime'> | undefined;
  };
}

export class FileXattrs {
  readonly #session: MetadataSession;
  readonly #files: FileXattrsOptions['files'];

  constructor({ session, files }: FileXattrsOptions) {
    this.#session = session;
    this.#files = files;
  }

  /** As FileSystem.getxattr. */
  async get(inode: number, name: Uint8Array, by: namespace.By): Promise<Buffer> {
    const { lease, xattrs } = this.#session;
    let lacks = this.lacks(inode, name);
    // A program that asks for one of a file asks for others too, and most files have none.
    if (!lacks && isUsual(name) && xattrs.isUnknown(inode)) {
      await namespace.listXattrs(this.#session, inode, {});
      lacks = this.lacks(inode, name);
    }
    if (lacks) throw new DfsError('ENODATA', 'the file has no such extended attribute');
    const file = CAPABILITY.equals(name) ? this.#files.get(inode) : undefined;
    const ticket = lease.ticket();
    try {
      return await namespace.askXattr(this.#session, inode, name, by);
    } catch (error) {
      if (file && hasCode(error, 'ENODATA') && lease.ticket() === ticket) file.hasNoCapability = true;
      throw error;
    }
  }

  /** Whether it is known at once that the inode has no such attribute. */
  lacks(inode: number, name: Uint8Array): boolean {
    if (CAPABILITY.equals(name) && this.#files.get(inode)?.hasNoCapability === true) return true;
    return this.#session.xattrs.lacks(inode, name) && isUsual(name);
  }

  /** As FileSystem.listxattr. */
  async list(inode: number, by: namespace.By): Promise<Buffer[]> {
    return await namespace.listXattrs(this.#session, inode, by);
  }

  /** As FileSystem.setxattr. */
  async set(inode: number, xattr: namespace.XattrValue, by: namespace.By): Promise<void> {
    const file = this.#files.get(inode);
    if (file) file.hasNoCapability = false;
    // A write of before takes capabilities away, but not those that are given after it.
    if (file?.privilegeLoss && CAPABILITY.equals(xattr.name)) await file.settledInTime();
    try {
      await namespace.setXattr(this.#session, inode, xattr, by);
    } finally {
      if (file) file.hasNoCapability = false;
    }
  }

  /** As FileSystem.removexattr. */
  async remove(inode: number, name: Uint8Array, by: namespace.By): Promise<void> {
    await namespace.removeXattr(this.#session, inode, name, by);
  }
}

function isUsual(name: Uint8Array): boolean {
  return USUAL_XATTRS.test(Buffer.from(name).toString('latin1')) && !GOAL.equals(name);
}
