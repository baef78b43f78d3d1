/** mkdir(2): decided by this client where it may, else by the server. */
import { mkdir as command } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { changingNames } from './changing-names.js';
import type { By, Creation } from './credentials.js';
import { learnInheritance } from './xattrs.js';

/** Makes a directory. EEXIST, … */
export async function mkdir(
  session: MetadataSession,
  parent: number,
  name: Uint8Array,
  creation: Creation,
  by: By,
): Promise<Attributes> {
  await learnInheritance(session, parent);
  await session.beginChange(parent);
  const ahead = session.foretold.names.mkdir(parent, name, creation, by);
  if (ahead) return ahead;
  const ticket = session.lease.ticket();
  const { attributes } = await changingNames(
    session.names,
    [[parent, name]],
    async () => await session.ordered.execute(command, { parent, name, ...creation, ...by }),
    ({ attributes: { inode } }, asked) => {
      session.names.linked(parent, name, inode, asked);
      session.names.created(ticket, inode, parent);
    },
  );
  return attributes;
}
