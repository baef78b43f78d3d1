/** The exports of a new cluster: clients of other machines may mount all of it, and their root is nobody; administrators' is root. */
import { ANONYMOUS_ID, type ExportRule } from '../../protocol/export-commands.js';
import { ROOT_INODE } from '../../protocol/file-mode.js';

const EVERYTHING = {
  root: ROOT_INODE,
  path: [],
  readOnly: false,
  anonUid: ANONYMOUS_ID,
  anonGid: ANONYMOUS_ID,
  uids: [],
  gids: [],
};

export const INITIAL_EXPORTS: readonly ExportRule[] = [
  { id: 1, target: '*', squash: 'root', ...EVERYTHING },
  { id: 2, target: 'role:admin', squash: 'none', ...EVERYTHING },
];
