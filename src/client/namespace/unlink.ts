/** unlink(2): decided by this client where it may, else by the server. */
import { unlink as command } from '../../protocol/namespace-commands.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { changingNames } from './changing-names.js';
import type { By } from './credentials.js';

/** An inode that has lost a name, and how many it has left. */
export interface Unlinked {
  readonly inode: number;
  readonly nlink: number;
}

/** Removes a name of what is no directory. ENOENT, EISDIR, … */
export async function unlink(
  session: MetadataSession,
  parent: number,
  name: Uint8Array,
  by: By,
): Promise<Unlinked> {
  await session.beginChange(parent);
  const ahead = session.foretold.names.unlink(parent, name, by);
  if (ahead) return ahead;
  const execute = async () => await session.ordered.execute(command, { parent, name, ...by });
  return await changingNames(
    session.names,
    [[parent, name]],
    async () => await session.opens.removing(parent, name, execute),
    (_, asked) => session.names.unlinked(parent, name, asked),
  );
}
