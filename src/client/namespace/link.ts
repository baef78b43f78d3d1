/** link(2): decided by this client where it may, else by the server. */
import { link as command } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { changingNames } from './changing-names.js';
import type { By } from './credentials.js';

/**
 * Gives an inode another name. EEXIST, …
 * @param replace takes the name away from what has it, as rename(2) does
 */
export async function link(
  session: MetadataSession,
  inode: number,
  parent: number,
  name: Uint8Array,
  replace: boolean,
  by: By,
): Promise<Attributes> {
  await session.beginChange(parent);
  const ahead = replace ? undefined : session.foretold.names.link(inode, parent, name, by);
  if (ahead) return ahead;
  const request = { inode, parent, name, ...(replace ? { replace } : {}), ...by };
  const execute = async () => await session.ordered.execute(command, request);
  const { attributes } = await changingNames(
    session.names,
    [[parent, name]],
    replace ? async () => await session.opens.removing(parent, name, execute) : execute,
    (_, asked) => session.names.linked(parent, name, inode, asked),
  );
  return attributes;
}
