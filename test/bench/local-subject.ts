/** `local`: a directory on the disk on which the other subjects keep their data. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Subject, Workplace } from './subject.js';

export class LocalSubject implements Subject {
  readonly directory: string;
  readonly remount = '';
  readonly executables: readonly string[] = [];
  readonly findDaemons = async (): Promise<number[]> => [];

  constructor({ directory }: Workplace) {
    this.directory = join(directory, 'local');
  }

  async start(): Promise<void> {
    await mkdir(this.directory);
  }

  async close(): Promise<void> {
    // It is removed with the workplace.
  }
}
