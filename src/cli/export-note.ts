/** What somebody who mounts should know of the rights of his machine. */
import type { Rights } from '../protocol/export-commands.js';

/** One sentence for each thing that is not as on a local file system; undefined when there is none. */
export function exportNote(rights: Rights | undefined): string | undefined {
  if (!rights) return undefined;
  const { readOnly, squash, anonUid, uids, gids, path } = rights;
  const below = `/${path.map(name => Buffer.from(name).toString()).join('/')}`;
  const sentences: string[] = [];
  if (readOnly) sentences.push('this machine may read here and change nothing');
  if (squash === 'all') sentences.push(`every user of this machine is user ${anonUid} here`);
  if (squash === 'root') {
    sentences.push(
      `root of this machine is user ${anonUid} here, and may change what that user may; to let it be root, run on the metadata server: dfs export add ${below} --to MEMBER --no-root-squash (docs/exports.md)`,
    );
  }
  if (squash !== 'all' && uids.length + gids.length > 0)
    sentences.push('users of this machine have other numbers in the cluster');
  return sentences.length === 0 ? undefined : sentences.join('; ');
}
