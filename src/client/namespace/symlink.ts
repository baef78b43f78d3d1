/** symlink(2), by the server, and readlink(2). */
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
  const request = { parent, name, target, uid, gid, ...by };
  const { attributes } = await changingNames(
    session.names,
    [[parent, name]],
    async () => await session.execute(command, request),
    (made, asked) => session.names.linked(parent, name, made.attributes.inode, asked),
  );
  return attributes;
}

/** Where a symbolic link leads. EINVAL for anything else. */
export async function readlink(session: MetadataSession, inode: number): Promise<Buffer> {
  const { target } = await session.ask(readCommand, { inode });
  return Buffer.from(target);
}
