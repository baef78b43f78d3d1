/** rmdir(2): decided by this client where it may, else by the server. */
import { rmdir as command } from '../../protocol/namespace-commands.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { changingNames } from './changing-names.js';
import type { By } from './credentials.js';

/** Removes an empty directory. ENOTEMPTY, … */
export async function rmdir(
  session: MetadataSession,
  parent: number,
  name: Uint8Array,
  by: By,
): Promise<void> {
  await session.beginChange(parent);
  if (session.foretold.names.rmdir(parent, name, by)) return;
  await changingNames(
    session.names,
    [[parent, name]],
    async () => await session.ordered.execute(command, { parent, name, ...by }),
    (removed, asked) => {
      session.names.unlinked(parent, name, asked);
      session.names.forget(removed.inode);
    },
  );
}
