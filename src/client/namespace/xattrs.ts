/** Extended attributes of an inode (xattr(7)), and whether it is known to have none. */
import { hasCode } from '../../protocol/errors.js';
import { getxattr, listxattr, removexattr, setxattr } from '../../protocol/namespace-commands.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { isPrivileged } from '../../rules/permissions.js';
import { isTrusted, xattrReadRefusal } from '../../rules/xattrs.js';
import { xattrKey, xattrNames } from '../caches/xattr-cache.js';
import type { By, XattrValue } from './credentials.js';

/** The value of one. ENODATA, … */
export async function askXattr(
  session: MetadataSession,
  inode: number,
  name: Uint8Array,
  by: By,
): Promise<Buffer> {
  const known = knownXattr(session, inode, name, by);
  if (known) return known;
  const { value } = await session.ask(getxattr, { inode, name, ...by });
  return Buffer.from(value);
}

/** The names of those that the caller may see; asks nobody when all of them are known here. */
export async function listXattrs(session: MetadataSession, inode: number, by: By): Promise<Buffer[]> {
  const { xattrs, attributes } = session;
  const all = xattrs.all(inode);
  if (all) {
    const names = xattrNames(all);
    return isPrivileged(by.caller) ? names : names.filter(name => !isTrusted(name));
  }
  const ticket = attributes.ticket();
  const { names } = await session.ask(listxattr, { inode, ...by });
  if (names.length > 0) xattrs.some(inode);
  // Others than root do not see all there are.
  if (names.length === 0 && !by.caller) xattrs.none(ticket, inode);
  return names.map(name => Buffer.from(name));
}

/** Gives an inode an extended attribute. EEXIST, ENODATA, … */
export async function setXattr(
  session: MetadataSession,
  inode: number,
  xattr: XattrValue,
  by: By,
): Promise<void> {
  await session.ordered.quiesce(inode);
  if (session.foretold.xattrs.set(inode, xattr, by)) return;
  try {
    await session.ordered.execute(setxattr, { inode, ...xattr, ...by });
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
  await session.ordered.quiesce(inode);
  if (session.foretold.xattrs.remove(inode, name, by)) return;
  try {
    await session.ordered.execute(removexattr, { inode, name, ...by });
  } finally {
    session.xattrs.changed(inode);
  }
}

/** What is known here of one; undefined when the server is to say it. */
function knownXattr(
  { xattrs, attributes }: MetadataSession,
  inode: number,
  name: Uint8Array,
  { caller }: By,
): Buffer | undefined {
  const value = xattrs.all(inode)?.get(xattrKey(name));
  const known = value && attributes.get(inode);
  if (!known || xattrs.mayAclDecide(known, caller)) return undefined;
  return xattrReadRefusal(known, name, caller, undefined) ? undefined : value;
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
