/** A tree of files that is packed later, with modes that do not depend on the umask. */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const FILE_MODE = 0o644;
const PROGRAM_MODE = 0o755;

export class Staging {
  /** The directory that stands for `/`, or for whatever the tree is unpacked in. */
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  write(path: string, content: string | Buffer): void {
    const place = this.#place(path);
    writeFileSync(place, content);
    chmodSync(place, FILE_MODE);
  }

  writeProgram(path: string, content: string): void {
    this.write(path, content);
    chmodSync(join(this.root, path), PROGRAM_MODE);
  }

  copy(from: string, path: string): void {
    const place = this.#place(path);
    copyFileSync(from, place);
    chmodSync(place, FILE_MODE);
  }

  copyProgram(from: string, path: string): void {
    this.copy(from, path);
    chmodSync(join(this.root, path), PROGRAM_MODE);
  }

  link(target: string, path: string): void {
    symlinkSync(target, this.#place(path));
  }

  #place(path: string): string {
    const place = join(this.root, path);
    // The first of the directories that were made.
    const made = mkdirSync(dirname(place), { recursive: true });
    if (made === undefined) return place;
    for (let directory = dirname(place); directory.startsWith(made); directory = dirname(directory))
      chmodSync(directory, PROGRAM_MODE);
    return place;
  }
}

/** The files below a directory, sorted, by their paths in it. Symbolic links count as files. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => !entry.isDirectory())
    .map(entry => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}
