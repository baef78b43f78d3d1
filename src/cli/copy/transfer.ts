/** One copy from beginning to end: looks, copies under a temporary name, renames, and cleans up when it fails. */
import type { Clock } from '../../platform/clock.js';
import type { Random } from '../../platform/random.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { Copier, type CopierOptions } from './copier.js';
import { checkParent, finalPlace, inTermsOf } from './destination.js';
import { Progress } from './progress.js';
import { stage } from './staging.js';
import { specialFile, type Entry, type Reader, type Staging, type Tree } from './tree.js';

export interface TransferOptions {
  readonly isRecursive: boolean;
  readonly isPreserving: boolean;
  readonly isReplacing: boolean;
  readonly hasProgress: boolean;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  /** Says something to the user that is no error. */
  readonly warn: (sentence: string) => void;
}

/** Where to, as the user named it. */
export interface Destination<Target> {
  readonly tree: Tree<Target>;
  readonly place: Target;
  readonly mustBeDirectory: boolean;
  /** Makes the directories above `final` that are missing; returns the topmost one made. */
  readonly makeParents?: (final: Target) => Promise<Target | undefined>;
}

/** What is copied: something in a tree, or a stream of bytes. */
export interface Origin<Source> {
  readonly tree: Tree<Source>;
  readonly place: Source;
  readonly name: Buffer | undefined;
}

/** Copies a file or, with `isRecursive`, a directory. */
export async function transfer<Source, Target>(
  origin: Origin<Source>,
  destination: Destination<Target>,
  options: TransferOptions,
): Promise<void> {
  const { tree, place } = origin;
  const entry = await sourceEntry(tree, place, options.isRecursive);
  const totalBytes = options.hasProgress ? await totalSize(tree, place, entry, options.signal) : 0;
  let leftOut = 0;
  const warn = (description: string, kind: Entry['kind']): void => {
    leftOut += 1;
    options.warn(`left out ${description}: it is ${specialFile(kind)}`);
  };
  const kind = entry.kind === 'directory' ? 'directory' : 'file';
  await put(origin.name, kind, destination, options, totalBytes, async (temporary, onBytes) => {
    const copier = new Copier(tree, destination.tree, copierOptions(options, onBytes, warn));
    if (kind === 'directory') await copier.copyTree(place, entry, temporary);
    else await copier.copyFile(place, entry, temporary, true);
  });
  if (leftOut > 0) throw new DfsError('EINVAL', `everything was copied but the ${leftOut} left out`);
}

/** Copies a stream of bytes. */
export async function transferStream<Target>(
  reader: Reader,
  entry: Entry,
  destination: Destination<Target>,
  options: TransferOptions,
): Promise<void> {
  await put(undefined, 'file', destination, options, undefined, async (temporary, onBytes) => {
    const { tree } = destination;
    const copier = new Copier(
      tree,
      tree,
      copierOptions(options, onBytes, () => undefined),
    );
    await copier.copyBytes(reader, entry, temporary, true);
  });
}

/** What stands at `place`, which must be something that can be copied. */
export async function sourceEntry<Source>(
  tree: Tree<Source>,
  place: Source,
  isRecursive: boolean,
): Promise<Entry> {
  const entry = await tree.stat(place, true);
  const path = tree.describe(place);
  if (!entry) throw new DfsError('ENOENT', `there is no ${path}`);
  if (entry.kind === 'directory' && !isRecursive) {
    throw new DfsError('EISDIR', `${path} is a directory; -r copies it with all that is in it`);
  }
  const special = specialFile(entry.kind);
  if (special !== undefined) {
    throw new DfsError(
      'EINVAL',
      `${path} is ${special}, which is not copied; - is standard input, for what a program writes`,
    );
  }
  return entry;
}

/** Bytes of all files together. */
async function totalSize<Source>(
  tree: Tree<Source>,
  place: Source,
  entry: Entry,
  signal: AbortSignal,
): Promise<number> {
  if (entry.kind !== 'directory') return entry.sizeBytes;
  let sum = 0;
  for await (const child of tree.children(place)) {
    signal.throwIfAborted();
    if (child.entry.kind === 'file') sum += child.entry.sizeBytes;
    if (child.entry.kind === 'directory') sum += await totalSize(tree, child.place, child.entry, signal);
  }
  return sum;
}

function copierOptions(
  options: TransferOptions,
  onBytes: (count: number) => void,
  onLeftOut: CopierOptions['onLeftOut'],
): CopierOptions {
  const { isPreserving, signal } = options;
  return {
    isPreserving,
    signal,
    onBytes,
    onLeftOut,
    mayChown: process.getuid?.() === 0,
    umask: process.umask(),
  };
}

/** Lets `fill` fill a temporary place, and gives it the final name; removes everything again when that fails. */
async function put<Target>(
  name: Buffer | undefined,
  kind: 'file' | 'directory',
  destination: Destination<Target>,
  options: TransferOptions,
  totalBytes: number | undefined,
  fill: (temporary: Target, onBytes: (count: number) => void) => Promise<void>,
): Promise<void> {
  const { tree } = destination;
  const final = await finalPlace(tree, {
    place: destination.place,
    mustBeDirectory: destination.mustBeDirectory,
    sourceName: name,
    sourceKind: kind,
    isReplacing: options.isReplacing,
  });
  const topmostMade = await destination.makeParents?.(final);
  let staging: Staging<Target> | undefined;
  let progress: Progress | undefined;
  try {
    await checkParent(tree, final);
    staging = await stage(tree, final, kind, options.random);
    progress = options.hasProgress ? new Progress(totalBytes, options.clock) : undefined;
    await fill(staging.place, count => progress?.add(count));
    options.signal.throwIfAborted();
    await staging.publish(options.isReplacing);
  } catch (error) {
    progress?.stop();
    await cleanUp(tree, staging, topmostMade, options.warn);
    throw inTermsOf(tree, final, error);
  }
  progress?.stop();
}

async function cleanUp<Target>(
  tree: Tree<Target>,
  staging: Staging<Target> | undefined,
  topmostMade: Target | undefined,
  warn: (sentence: string) => void,
): Promise<void> {
  try {
    await staging?.discard();
    if (topmostMade) await tree.remove(topmostMade);
  } catch (error) {
    const place = topmostMade ?? staging?.place;
    const what = place === undefined ? 'something' : tree.describe(place);
    warn(`${what} is left behind, for it could not be removed: ${toDfsError(error).message}`);
  }
}
