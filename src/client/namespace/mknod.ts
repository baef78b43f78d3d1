/** mknod(2), by the server: a regular file, fifo, socket or device. */
import { mknod as command } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { changingNames } from './changing-names.js';
import type { By, Creation } from './credentials.js';

/** Makes an inode with this name. EEXIST, … */
export async function mknod(
  session: MetadataSession,
  parent: number,
  name: Uint8Array,
  creation: Creation,
  rdev: number,
  by: By,
): Promise<Attributes> {
  const request = { parent, name, ...creation, rdev, open: false, exclusive: true, ...by };
  const { attributes } = await changingNames(
    session.names,
    [[parent, name]],
    async () => await session.ordered.execute(command, request),
    (made, asked) => session.names.linked(parent, name, made.attributes.inode, asked),
  );
  return attributes;
}
