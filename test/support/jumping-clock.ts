/** Servers whose wall clock a test moves, by Debian's libfaketime; their monotonic clock goes on as it does. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const LIBRARIES = '/usr/lib';

/** The library for programs with threads; undefined where it is not installed. */
export function faketimeLibrary(): string | undefined {
  return readdirSync(LIBRARIES)
    .map(name => join(LIBRARIES, name, 'faketime/libfaketimeMT.so.1'))
    .find(path => existsSync(path));
}

/** What a server is started with, so that setClock() moves its clock. */
export function faketimeEnvironment(directory: string): NodeJS.ProcessEnv {
  const library = faketimeLibrary();
  if (library === undefined) throw new Error('libfaketime is not installed (Debian: faketime)');
  const path = clockPath(directory);
  writeFileSync(path, '+0');
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: path,
    FAKETIME_CACHE_DURATION: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  };
}

/** Moves the clock of the server with this directory to so many seconds from what it is in truth, within a second. */
export async function setClock(directory: string, offsetS: number): Promise<void> {
  const path = clockPath(directory);
  await writeFile(`${path}.new`, `${offsetS < 0 ? '' : '+'}${offsetS}`);
  await rename(`${path}.new`, path);
}

/** Beside the directory, which a test may delete. */
function clockPath(directory: string): string {
  return `${directory}.clock`;
}
