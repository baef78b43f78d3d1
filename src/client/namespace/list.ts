/** All files below a directory, page by page, as `dfs ls` shows them. */
import { MAX_DIRECTORY_PAGE } from '../../protocol/limits.js';
import { list as command } from '../../protocol/namespace-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { DfsError } from '../../protocol/errors.js';
import { newNameRefusal } from '../../rules/names.js';
import type { By } from './credentials.js';

/** A file or directory, and the names that lead to it from where the listing began. */
export interface ListedInode {
  readonly path: readonly Buffer[];
  readonly attributes: Attributes;
}

/** Lists what is in `root`, or with `recursive` all files below it, in the order of the names. ENOENT, EACCES, … */
export async function* list(
  session: Pick<MetadataSession, 'ask'>,
  root: number,
  recursive: boolean,
  by: By,
): AsyncGenerator<ListedInode> {
  let after: Uint8Array[] = [];
  for (;;) {
    const request = { root, after, limit: MAX_DIRECTORY_PAGE, recursive, ...by };
    const page = await session.ask(command, request);
    for (const { path, attributes } of page.entries) {
      if (path.length === 0 || path.some(name => newNameRefusal(name)))
        throw new DfsError('EPROTO', 'the metadata server lists names that cannot be in a directory');
      yield { path: path.map(name => Buffer.from(name)), attributes };
    }
    const last = page.entries.at(-1);
    if (page.end || !last) return;
    after = last.path;
  }
}
