/** A tree that looks like a program's source, always the same: as an archive and as a git repository. */
import { rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeDirectories } from '../../platform/make-directories.js';
import { hasCode } from '../../protocol/errors.js';
import type { Bench } from './bench.js';
import { randomFractions } from './source-data.js';

const SEED = 7;
const FILES_PER_DIRECTORY = 14;
const DIRECTORIES_PER_PARENT = 8;
const MIN_BYTES = 200;
/** Half of the files are smaller. */
const MEDIAN_BYTES = 2200;
const MAX_BYTES = 65_535;
const WORDS = 'int const struct return static if else void the of node list size next buffer lock'.split(' ');

export interface SourceTree {
  /** Its files are below this directory. */
  readonly top: string;
  /** All of it as tar(1) makes it, in a directory `tree`. */
  readonly archive: string;
}

/** Made once for all that need it. */
export async function sourceTree(bench: Bench): Promise<SourceTree> {
  const root = join(bench.scratch, 'source');
  const tree = { top: join(root, 'tree'), archive: join(root, 'tree.tar') };
  if (await isThere(root)) return tree;
  const making = `${root}.new`;
  const fraction = randomFractions(SEED);
  for (let number = 0; number < bench.sizes.treeFiles; number += 1) {
    const path = join(making, 'tree', nameOf(number));
    await makeDirectories(dirname(path));
    await writeFile(path, textOf(fraction));
  }
  await bench.program('tar', ['cf', join(making, 'tree.tar'), '-C', making, 'tree']);
  await rename(making, root);
  return tree;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

function nameOf(number: number): string {
  const directory = Math.floor(number / FILES_PER_DIRECTORY);
  const parent = Math.floor(directory / DIRECTORIES_PER_PARENT);
  return `part${parent}/module${directory}/source${number}.h`;
}

function textOf(fraction: () => number): string {
  // A product of two makes many small files and a few large ones.
  const wanted = (MEDIAN_BYTES * (0.1 + fraction())) / (0.05 + fraction());
  const bytes = Math.floor(Math.min(MAX_BYTES, Math.max(MIN_BYTES, wanted)));
  const pieces: string[] = [];
  for (let length = 0; length < bytes;) {
    const word = WORDS[Math.floor(fraction() * WORDS.length)] ?? '';
    const piece = `${word}${Math.floor(fraction() * 1000)}${fraction() < 0.15 ? ';\n' : ' '}`;
    pieces.push(piece);
    length += piece.length;
  }
  return `${pieces.join('').slice(0, bytes - 1)}\n`;
}
