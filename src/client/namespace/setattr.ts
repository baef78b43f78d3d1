/** chmod(2), chown(2), utimensat(2) and truncate(2): decided by this client where it may, else by the server. */
import type { RequestOf } from '../../protocol/command.js';
import { setattr as command } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { ExtentMap } from '../content/extent-map.js';
import type { MetadataSession } from '../session/metadata-session.js';

/** How a change of attributes goes together with what is written to the file and not committed. */
export interface WrittenData {
  /** Whether this client may decide: what is written does not bring back what is changed. Asked at the last moment. */
  readonly mayDecide: () => boolean;
  /** What is known of the file's extents. */
  readonly extents: () => ExtentMap | undefined;
  /** This client has decided: the file, which had the attributes `before`, has these from now on. */
  readonly decided: (attributes: Attributes, before: Attributes | undefined) => void;
  /** Commits what the server must have before. */
  readonly commit: () => Promise<void>;
}

/** Changes the attributes that are given. EPERM, … */
export async function setattr(
  session: MetadataSession,
  request: Omit<RequestOf<typeof command>, 'once'>,
  written: WrittenData,
): Promise<Attributes> {
  await session.ordered.quiesce(request.inode);
  const before = session.attributes.get(request.inode);
  const ahead = written.mayDecide()
    ? session.foretold.attributes.setattr(request, written.extents())
    : undefined;
  if (ahead) {
    written.decided(ahead, before);
    return ahead;
  }
  await written.commit();
  return (await session.ordered.execute(command, request)).attributes;
}
