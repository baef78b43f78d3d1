/** Extended attributes of an inode (xattr(7)), and whether it is known to have none. */
import { hasCode } from '../../protocol/errors.js';
import { getxattr, listxattr, removexattr, setxattr } from '../../protocol/namespace-commands.js';
import type { MetadataSession } from '../session/metadata-session.js';
import type { By } from './credentials.js';

/** The value of one. ENODATA, … */
export async function askXattr(
  session: MetadataSession,
  inode: number,
  name: Uint8Array,
  by: By,
): Promise<Buffer> {
  const { value } = await session.ask(getxattr, { inode, name, ...by });
  return Buffer.from(value);
}

/** The names of those that the caller may see; asks nobody when the inode is known to have none. */
export async function listXattrs(session: MetadataSession, inode: number, by: By): Promise<Buffer[]> {
  const { xattrs, attributes } = session;
  if (xattrs.hasNone(inode)) return [];
  const ticket = attributes.ticket();
  const { names } = await session.ask(listxattr, { inode, ...by });
  if (names.length > 0) xattrs.some(inode);
  // Others than root do not see all there are.
  if (names.length === 0 && !by.caller) xattrs.none(ticket, inode);
  return names.map(name => Buffer.from(name));
}

/** What is to be set, as in setxattr(2). */
export interface XattrValue {
  readonly name: Uint8Array;
  readonly value: Uint8Array;
  /** XattrFlag bits. */
  readonly flags: number;
  /** The user who sets the access ACL is not in the file's group: setgid goes (chmod(2)). */
  readonly stripSetgid: boolean;
}

/** Gives an inode an extended attribute. */
export async function setXattr(
  session: MetadataSession,
  inode: number,
  xattr: XattrValue,
  by: By,
): Promise<void> {
  try {
    await session.execute(setxattr, { inode, ...xattr, ...by });
  } finally {
    session.xattrs.changed(inode);
  }
}

/** Takes an extended attribute away. ENODATA, … */
export async function removeXattr(
  session: MetadataSession,
  inode: number,
  name: Uint8Array,
  by: By,
): Promise<void> {
  await session.execute(removexattr, { inode, name, ...by });
}

/**
 * Learns whether a directory has a default ACL, if nothing else is missing for deciding alone what a new inode in it
 * inherits.
 */
export async function learnInheritance(session: MetadataSession, directory: number): Promise<void> {
  const { changes, held, xattrs, attributes } = session;
  if (!changes.isOpen || !held.has(directory) || !xattrs.isUnknown(directory) || !attributes.get(directory))
    return;
  try {
    await listXattrs(session, directory, {});
  } catch (error) {
    // It is gone, or no directory; the request that follows says so.
    if (!hasCode(error, 'ENOENT', 'ESTALE')) throw error;
  }
}
