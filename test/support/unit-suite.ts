/** Runs the unit tests of a room in one process: starting one for each file takes more of the processor than most of the tests do. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inClone } from './programs.js';

const UNIT_TESTS = inClone('build/test/unit');

/** Loads every test below `build/test/unit/ROOM`, in the order of names; tap runs what they declare. */
export async function loadUnitTests(room: string): Promise<void> {
  const directory = join(UNIT_TESTS, room);
  const files = (await readdir(directory, { recursive: true }))
    .filter(name => name.endsWith('.test.js'))
    .sort();
  if (files.length === 0) throw new Error(`there are no unit tests in ${directory}`);
  for (const file of files) await import(join(directory, file));
}

/** The rooms that have unit tests. */
export async function unitTestRooms(): Promise<string[]> {
  const entries = await readdir(UNIT_TESTS, { withFileTypes: true });
  return entries.filter(entry => entry.isDirectory()).map(({ name }) => name);
}
