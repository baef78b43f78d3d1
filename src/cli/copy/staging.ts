/**
 * Where a copy is made before it gets its name. A file in a DFS has no name until then, and goes with the process that
 * makes it. Everything else has a hidden name, beside which lies a lock file: while it is locked, its maker lives. The
 * next copy to the same directory removes the files beside every lock file that is not locked.
 */
import type { Random } from '../../platform/random.js';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { MAX_NAME_BYTES } from '../../protocol/limits.js';
import type { Lock, Staging, Tree } from './tree.js';

const RANDOM_BYTES = 6;
const LOCK_SUFFIX = '.lock';
/** As hiddenName() makes them, anywhere in a path. */
const HIDDEN_NAME = /\.[^/]*\.dfs-copy-[0-9a-f]{12}(\.lock)?/gs;
const LOCK_NAME = /^\..*\.dfs-copy-[0-9a-f]{12}\.lock$/s;
/** Another copy that takes a lock file for a left one, in the moment before it is locked, wins at most once or twice. */
const MAX_ATTEMPTS = 5;

/** Begins a copy that will be at `final`. */
export async function stage<Place>(
  tree: Tree<Place>,
  final: Place,
  kind: 'file' | 'directory',
  random: Random,
): Promise<Staging<Place>> {
  await removeLeftovers(tree, final);
  if (kind === 'file' && tree.stageUnnamed) return tree.stageUnnamed(final);
  for (let attempt = 1; ; attempt += 1) {
    const name = hiddenName(tree.nameOf(final), random);
    const lockPlace = tree.sibling(final, Buffer.concat([name, Buffer.from(LOCK_SUFFIX)]));
    const lock = await tree.makeLock(lockPlace);
    if (lock) return new NamedStaging(tree, tree.sibling(final, name), final, lockPlace, lock);
    if (attempt === MAX_ATTEMPTS) {
      throw new DfsError('EBUSY', `other copies disturb the one to ${tree.describe(final)}; try again`);
    }
  }
}

class NamedStaging<Place> implements Staging<Place> {
  readonly place: Place;
  readonly #tree: Tree<Place>;
  readonly #final: Place;
  readonly #lockPlace: Place;
  readonly #lock: Lock;

  constructor(tree: Tree<Place>, place: Place, final: Place, lockPlace: Place, lock: Lock) {
    this.#tree = tree;
    this.place = place;
    this.#final = final;
    this.#lockPlace = lockPlace;
    this.#lock = lock;
  }

  async publish(isReplacing: boolean): Promise<void> {
    await this.#tree.rename(this.place, this.#final, isReplacing);
    await this.#unlock();
  }

  async discard(): Promise<void> {
    await this.#tree.remove(this.place);
    await this.#unlock();
  }

  async #unlock(): Promise<void> {
    // The name goes first: a lock file that is there and not held is one that somebody left.
    await this.#tree.remove(this.#lockPlace);
    await this.#lock.release();
  }
}

/** Removes what copies to the same directory left there whose processes were killed. */
async function removeLeftovers<Place>(tree: Tree<Place>, final: Place): Promise<void> {
  const locks: Buffer[] = [];
  for await (const name of tree.hiddenNamesBeside(final))
    if (LOCK_NAME.test(name.toString('latin1'))) locks.push(name);
  for (const name of locks) {
    const lockPlace = tree.sibling(final, name);
    const lock = await tree.takeLock(lockPlace);
    if (!lock) continue;
    try {
      await tree.remove(tree.sibling(final, name.subarray(0, -LOCK_SUFFIX.length)));
      await tree.remove(lockPlace);
    } catch (error) {
      // Rights have changed since: it stays, and is no reason not to copy.
      if (!hasCode(error, 'EACCES', 'EPERM', 'EROFS')) throw error;
    } finally {
      await lock.release();
    }
  }
}

/** `text`, with `name` in the place of hidden names, which mean nothing to anybody. */
export function withoutHiddenNames(text: string, name: string): string {
  return text.replaceAll(HIDDEN_NAME, () => name);
}

/** A hidden name that nobody else has. */
function hiddenName(name: Buffer, random: Random): Buffer {
  const ending = Buffer.from(`.dfs-copy-${random.bytes(RANDOM_BYTES).toString('hex')}`);
  const start = name.subarray(0, MAX_NAME_BYTES - ending.length - LOCK_SUFFIX.length - 1);
  return Buffer.concat([Buffer.from('.'), start, ending]);
}
