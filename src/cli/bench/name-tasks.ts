/** Tasks on many small files and on directories, with synchronous calls. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { timed, type Outcome } from './outcome.js';
import { dataOf } from './source-data.js';

const FILE_MODE = 0o644;
const PRIVATE_MODE = 0o600;
const PERMISSION_BITS = 0o777;
const RENAMED = '.r';

/** Small files in several directories. */
export interface FileSet {
  readonly top: string;
  readonly files: number;
  readonly directories: number;
  readonly fileBytes: number;
}

/** Every `step`th of the files, so that several processes share them. */
export interface Share {
  readonly set: FileSet;
  readonly first: number;
  readonly step: number;
}

function directoryOf(set: FileSet, number: number): string {
  return `${set.top}/d${String(number).padStart(2, '0')}`;
}

function pathOf(set: FileSet, number: number): string {
  const directory = Math.floor(number / Math.ceil(set.files / set.directories));
  return `${directoryOf(set, directory)}/f${String(number).padStart(5, '0')}`;
}

function forEachFile({ set, first, step }: Share, act: (path: string, number: number) => void): Outcome {
  const paths: [string, number][] = [];
  for (let number = first; number < set.files; number += step) paths.push([pathOf(set, number), number]);
  return timed(() => {
    for (const [path, number] of paths) act(path, number);
    return paths.length;
  });
}

export function makeSet({ set }: { readonly set: FileSet }): Outcome {
  return timed(() => {
    mkdirSync(set.top);
    for (let number = 0; number < set.directories; number += 1) mkdirSync(directoryOf(set, number));
    return set.directories;
  });
}

/** Removes the directories, which must be empty. */
export function removeSet({ set }: { readonly set: FileSet }): Outcome {
  return timed(() => {
    for (let number = 0; number < set.directories; number += 1) rmdirSync(directoryOf(set, number));
    if (readdirSync(set.top).length > 0)
      throw new Error(`${set.top} is not empty, though all of it was removed`);
    rmdirSync(set.top);
    return set.directories;
  });
}

export function createFiles(share: Share): Outcome {
  const { fileBytes } = share.set;
  return forEachFile(share, (path, number) => {
    const fd = openSync(path, 'wx', FILE_MODE);
    writeSync(fd, dataOf(number, fileBytes));
    closeSync(fd);
  });
}

export function statFiles(share: Share): Outcome {
  const { fileBytes } = share.set;
  return forEachFile(share, path => {
    if (lstatSync(path).size !== fileBytes) throw new Error(`${path} has another size than was written`);
  });
}

export function readFiles(share: Share): Outcome {
  const { fileBytes } = share.set;
  const buffer = Buffer.allocUnsafe(fileBytes + 1);
  return forEachFile(share, (path, number) => {
    const fd = openSync(path, 'r');
    const read = readSync(fd, buffer);
    closeSync(fd);
    if (!buffer.subarray(0, read).equals(dataOf(number, fileBytes)))
      throw new Error(`${path} does not hold what was written to it`);
  });
}

export function renameFiles(share: Share): Outcome {
  return forEachFile(share, path => renameSync(path, path + RENAMED));
}

/** Of files that were renamed. */
export function chmodFiles(share: Share): Outcome {
  const outcome = forEachFile(share, path => chmodSync(path + RENAMED, PRIVATE_MODE));
  forEachFile(share, path => {
    if ((lstatSync(path + RENAMED).mode & PERMISSION_BITS) !== PRIVATE_MODE)
      throw new Error(`${path}${RENAMED} has another mode than it was given`);
  });
  return outcome;
}

export function unlinkFiles({ areRenamed, ...share }: Share & { readonly areRenamed: boolean }): Outcome {
  const suffix = areRenamed ? RENAMED : '';
  return forEachFile(share, path => unlinkSync(path + suffix));
}

interface DirectorySet {
  readonly top: string;
  readonly count: number;
}

function namesIn({ top, count }: DirectorySet): string[] {
  return Array.from({ length: count }, (_, number) => `${top}/d${String(number).padStart(5, '0')}`);
}

export function makeDirectories(set: DirectorySet): Outcome {
  const paths = namesIn(set);
  mkdirSync(set.top);
  const outcome = timed(() => {
    for (const path of paths) mkdirSync(path);
    return paths.length;
  });
  const found = readdirSync(set.top).length;
  if (found !== set.count) throw new Error(`${set.top} lists ${found} directories instead of ${set.count}`);
  return outcome;
}

export function removeDirectories(set: DirectorySet): Outcome {
  const paths = namesIn(set);
  const outcome = timed(() => {
    for (const path of paths) rmdirSync(path);
    return paths.length;
  });
  rmdirSync(set.top);
  return outcome;
}

/** Walks a tree and reads all of it. */
export function readTree({ top }: { readonly top: string }): Outcome {
  const lines: string[] = [];
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) walk(path);
      else
        lines.push(`${relative(top, path)} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`);
    }
  };
  const outcome = timed(() => {
    walk(top);
    return lines.length;
  });
  return { ...outcome, digest: createHash('sha256').update(lines.sort().join('\n')).digest('hex') };
}
