/** The file that a process in the background says everything into. */
import { openSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeDirectories } from '../../platform/make-directories.js';
import { toDfsError } from '../../protocol/errors.js';

const MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** Opens the log to add to it, and makes it and its directory if need be; the caller closes the descriptor. EACCES and the like. */
export async function openLogFile(path: string): Promise<number> {
  try {
    await makeDirectories(dirname(path), DIRECTORY_MODE);
    return openSync(path, 'a', MODE);
  } catch (error) {
    throw toDfsError(error).within(`cannot write the log ${path}`);
  }
}
