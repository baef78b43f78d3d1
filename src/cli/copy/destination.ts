/** Where a copy goes in the end, and what is put there meanwhile: nothing half done ever has the final name. */
import type { Random } from '../../platform/random.js';
import { DfsError } from '../../protocol/errors.js';
import { MAX_NAME_BYTES } from '../../protocol/limits.js';
import type { Entry, Tree } from './tree.js';

const RANDOM_BYTES = 6;

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

function requireName(name: Buffer | undefined, directory: string): Buffer {
  if (name) return name;
  throw new DfsError(
    'EISDIR',
    `${directory} is a directory, and the copy has no name of its own; give it one`,
  );
}

/** A hidden name beside `final` that nobody else has. */
export function temporaryPlace<Place>(tree: Tree<Place>, final: Place, random: Random): Place {
  const ending = Buffer.from(`.dfs-${random.bytes(RANDOM_BYTES).toString('hex')}`);
  const start = tree.nameOf(final).subarray(0, MAX_NAME_BYTES - ending.length - 1);
  return tree.sibling(final, Buffer.concat([Buffer.from('.'), start, ending]));
}
