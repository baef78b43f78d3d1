/** Errors of the metadata server, which knows inodes by their numbers, in terms of the paths that people know. */
import { DfsError, toDfsError, type ErrnoName } from '../protocol/errors.js';

const SENTENCES: ReadonlyMap<ErrnoName, (path: string) => string> = new Map<
  ErrnoName,
  (path: string) => string
>([
  ['EEXIST', path => `${path} exists already`],
  ['ENOENT', path => `there is no ${path}`],
  ['ENOTDIR', path => `a name in the middle of ${path} is no directory`],
  [
    'EACCES',
    path => `you may not do this with ${path}; look at its permissions and those of the directories above`,
  ],
  ['ELOOP', path => `too many symbolic links on the way to ${path}`],
  ['ENAMETOOLONG', path => `a name in ${path} is too long; names have at most 255 bytes`],
]);
/** Where a sentence of the metadata server names what it is about. */
const INODE = /\binode \d+\b/g;

/** What failed, about `path`. */
export function inTermsOfPath(error: unknown, path: string): DfsError {
  const reason = toDfsError(error);
  const sentence = SENTENCES.get(reason.code)?.(path) ?? reason.message.replaceAll(INODE, () => path);
  return new DfsError(reason.code, sentence, { cause: error });
}

/** Does `work`, whose errors are about `path`. */
export async function aboutPath<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw inTermsOfPath(error, path);
  }
}
