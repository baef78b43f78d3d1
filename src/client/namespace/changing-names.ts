/** A change of names by the server: what the name cache may answer while it is under way, and what it learns of it. */
import { hasCode } from '../../protocol/errors.js';
import type { NameCache } from '../caches/name-cache.js';

/** With these the metadata server says that it has changed nothing. */
const REFUSALS = ['EEXIST', 'ENOENT', 'ENOTEMPTY', 'EACCES', 'EPERM', 'EISDIR', 'ENOTDIR', 'EXDEV', 'EMLINK'];

export type ChangedName = readonly [directory: number, name: Uint8Array];

/**
 * Does `change`, which changes these names. The cache answers none of them until `learn` has taken over what came of it. A
 * failure that is no refusal leaves it unknown which names are there, so the directories are forgotten.
 */
export async function changingNames<Reply>(
  names: NameCache,
  changed: readonly ChangedName[],
  change: () => Promise<Reply>,
  learn: (reply: Reply, ticket: number) => void,
): Promise<Reply> {
  const ticket = names.ticket();
  for (const [directory, name] of changed) names.changing(directory, name);
  try {
    const reply = await change();
    learn(reply, ticket);
    return reply;
  } catch (error) {
    if (!hasCode(error, ...REFUSALS)) for (const [directory] of changed) names.forget(directory);
    throw error;
  } finally {
    for (const [directory, name] of changed) names.changed(directory, name);
  }
}
