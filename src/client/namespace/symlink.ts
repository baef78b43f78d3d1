/** symlink(2), decided by this client where it may, else by the server; and readlink(2). */
import { DfsError } from '../../protocol/errors.js';
import { symlinkTargetRefusal } from '../../rules/names.js';
import { readlink as readCommand, symlink as command } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { changingNames } from './changing-names.js';
import type { By, Owner } from './credentials.js';

/** Makes a symbolic link. EEXIST, … */
export async function symlink(
  session: MetadataSession,
  parent: number,
  name: Uint8Array,
  target: Uint8Array,
  { uid, gid }: Owner,
  by: By,
): Promise<Attributes> {
  await session.beginChange(parent);
  const ahead = session.foretold.names.symlink(parent, name, target, { uid, gid }, by);
  if (ahead) return ahead;
  const request = { parent, name, target, uid, gid, ...by };
  const { attributes } = await changingNames(
    session.names,
    [[parent, name]],
    async () => await session.ordered.execute(command, request),
    (made, asked) => session.names.linked(parent, name, made.attributes.inode, asked),
  );
  return attributes;
}

/** Where a symbolic link leads. EINVAL for anything else. */
export async function readlink(session: MetadataSession, inode: number): Promise<Buffer> {
  const { targets, attributes, lease } = session;
  // Of what is kept of it, the attributes say whether the link is still there.
  const kept = attributes.get(inode) && targets.get(inode);
  if (kept) return kept;
  const ticket = lease.ticket();
  const { target } = await session.ask(readCommand, { inode });
  if (symlinkTargetRefusal(target))
    throw new DfsError('EPROTO', 'the metadata server says that a symbolic link leads to what is no path');
  targets.keep(ticket, inode, target);
  return Buffer.from(target);
}
