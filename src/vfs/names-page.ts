/** Pages of a directory's names, made of pages with attributes. */
import { PackedNames } from '../protocol/packed-names.js';
import type { DirectoryPage, NamesPage } from './file-system.js';

export function namesPageOf({ entries, parent, isLast }: DirectoryPage): NamesPage {
  const names = PackedNames.of(
    entries.map(({ name, attributes: { inode, mode } }) => ({ name, inode, mode })),
  );
  const attributes = new Map(entries.map(entry => [entry.attributes.inode, entry.attributes]));
  return { names, attributesOf: inode => attributes.get(inode), parent, isLast };
}
