/** The final place of a copy. */
import { DfsError } from '../../protocol/errors.js';
import { withoutHiddenNames } from './staging.js';
import { specialFile, type Entry, type Tree } from './tree.js';

export interface DestinationRequest<Place> {
  /** What the user named. */
  readonly place: Place;
  /** It was typed with a slash at its end, so it must be a directory. */
  readonly mustBeDirectory: boolean;
  /** The name that a copy gets in a directory; undefined when the source has none. */
  readonly sourceName: Buffer | undefined;
  readonly sourceKind: Entry['kind'];
  readonly isReplacing: boolean;
}

/**
 * The place that the copy will have: the named one, or one in it if it is a directory, as with cp(1). EEXIST for one
 * that is taken, unless a file is to replace a file.
 */
export async function finalPlace<Place>(
  tree: Tree<Place>,
  request: DestinationRequest<Place>,
): Promise<Place> {
  const { place, mustBeDirectory, sourceName, sourceKind, isReplacing } = request;
  const there = await tree.stat(place, true);
  const isInside = there ? there.kind === 'directory' : mustBeDirectory;
  if (there && mustBeDirectory && !isInside) {
    throw new DfsError('ENOTDIR', `${tree.describe(place)} is not a directory`);
  }
  const final = isInside ? tree.child(place, requireName(sourceName, tree.describe(place))) : place;
  const taken = await tree.stat(final, false);
  if (!taken) return final;
  await refuseSpecial(tree, final, taken);
  if (taken.kind === 'directory' || sourceKind === 'directory') {
    throw new DfsError(
      'EEXIST',
      `${tree.describe(final)} exists already; choose another name, or remove it first`,
    );
  }
  if (!isReplacing)
    throw new DfsError('EEXIST', `${tree.describe(final)} exists already; --force replaces it`);
  return final;
}

/** Neither a special file nor a symbolic link to one, such as /dev/stdout, is ever replaced. EINVAL. */
async function refuseSpecial<Place>(tree: Tree<Place>, place: Place, entry: Entry): Promise<void> {
  const path = tree.describe(place);
  const reached = entry.kind === 'symlink' ? await tree.stat(place, true) : entry;
  const special = reached && specialFile(reached.kind);
  if (special === undefined) return;
  const what = entry.kind === 'symlink' ? `leads to ${special}` : `is ${special}`;
  throw new DfsError(
    'EINVAL',
    `${path} ${what}, which a copy does not replace; - is standard output, for other programs`,
  );
}

function requireName(name: Buffer | undefined, directory: string): Buffer {
  if (name) return name;
  throw new DfsError(
    'EISDIR',
    `${directory} is a directory, and the copy has no name of its own; give it one`,
  );
}

/** The directory that the copy will be in is there. ENOENT, ENOTDIR. */
export async function checkParent<Place>(tree: Tree<Place>, final: Place): Promise<void> {
  const parent = tree.parent(final);
  const entry = await tree.stat(parent, true);
  if (!entry) throw new DfsError('ENOENT', `there is no directory ${tree.describe(parent)}`);
  if (entry.kind !== 'directory') throw new DfsError('ENOTDIR', `${tree.describe(parent)} is no directory`);
}

/** The same error, about the place that the user knows. */
export function inTermsOf<Place>(tree: Tree<Place>, final: Place, error: unknown): unknown {
  if (!(error instanceof DfsError)) return error;
  const message = withoutHiddenNames(error.message, tree.nameOf(final).toString('utf8'));
  return message === error.message ? error : new DfsError(error.code, message, { cause: error });
}
