/** Makes directories, with those above them. */
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileErrorText } from './file-error-text.js';

const DEFAULT_MODE = 0o777;

/** A directory could not be made; the message is a sentence. */
export class MakeDirectoryError extends Error {
  override readonly name = 'MakeDirectoryError';
  /** The system's: ENOENT, EACCES, EROFS, ENOSPC, …; EEXIST for something that is no directory. */
  readonly code: string;

  constructor(path: string, code: string, reason: string) {
    super(`cannot make the directory ${path}: ${reason}`);
    this.code = code;
  }
}

/**
 * Makes a directory and those above it that are missing; one that exists is fine. Throws MakeDirectoryError.
 *
 * Node's mkdir(path, { recursive: true }) is not used anywhere: where a file system answers ENOENT although the
 * directory above is there, as procfs does, it tries again without end, in a thread that no signal ends; and it tells
 * a read-only file system as ENOENT. Here each directory on the path is tried at most twice.
 *
 * @param mode of each directory made, less the umask
 */
export async function makeDirectories(path: string, mode = DEFAULT_MODE): Promise<void> {
  /** Directories below ones that are missing too, the deepest first. */
  const missing: string[] = [];
  for (let directory = path; !(await makeOne(directory, mode)); directory = dirname(directory)) {
    // The root, or the working directory when that is removed.
    if (dirname(directory) === directory)
      throw new MakeDirectoryError(path, 'ENOENT', `there is no ${directory}`);
    missing.push(directory);
  }
  for (const directory of missing.toReversed()) {
    if (await makeOne(directory, mode)) continue;
    const above = dirname(directory);
    throw new MakeDirectoryError(path, 'ENOENT', `${above} is there, but nothing can be made in it`);
  }
}

/** False when the directory above is missing; true when the directory is there. */
async function makeOne(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return false;
    // Some file systems answer EROFS or EACCES for a directory that is there (mkdir(2) leaves the order open).
    const found = await kindAt(path);
    if (found === 'directory') return true;
    if (found === 'other')
      throw new MakeDirectoryError(path, 'EEXIST', 'there is something else of that name');
    if (found !== 'nothing') throw new MakeDirectoryError(path, codeOf(found), fileErrorText(found, path));
    if (code === 'EEXIST') {
      throw new MakeDirectoryError(path, code, 'there is a symbolic link of that name that leads nowhere');
    }
    throw new MakeDirectoryError(path, code, fileErrorText(error, path));
  }
}

/** What is there behind symbolic links, or why that cannot be found out. */
async function kindAt(path: string): Promise<'directory' | 'other' | 'nothing' | Error> {
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'other';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'nothing';
    return error instanceof Error ? error : new Error(String(error));
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
}
