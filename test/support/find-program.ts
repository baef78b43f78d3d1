/** Programs of the system. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Not in everybody's PATH. */
const SYSTEM_DIRECTORIES = ['/usr/sbin', '/sbin'];

/** The path of a program that can be executed; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), ...SYSTEM_DIRECTORIES];
  return directories
    .map(directory => join(directory, name))
    .find(path => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Whether a program is installed. */
export function hasProgram(name: string): boolean {
  return findProgram(name) !== undefined;
}
