/** The inputs that are kept in the repository: test/fuzz/corpus/DECODER/FILE. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inClone } from '../support/programs.js';

const NAME_DIGITS = 12;

function directoryOf(decoder: string): string {
  return inClone(join('test/fuzz/corpus', decoder));
}

/** The decoder's inputs, in the order of their names. */
export function corpusOf(decoder: string): { readonly name: string; readonly input: Buffer }[] {
  const directory = directoryOf(decoder);
  mkdirSync(directory, { recursive: true });
  const names = readdirSync(directory).sort();
  return names.map(name => ({ name, input: readFileSync(join(directory, name)) }));
}

/** Writes an input to the corpus, under a name that follows from it. */
export function addToCorpus(decoder: string, input: Buffer): string {
  return writeInput(directoryOf(decoder), input);
}

/** Writes an input to `directory`, made if need be; returns its path. */
export function writeInput(directory: string, input: Buffer): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, createHash('sha256').update(input).digest('hex').slice(0, NAME_DIGITS));
  writeFileSync(path, input);
  return path;
}
