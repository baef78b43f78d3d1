/** Pages of a directory's names, made of pages with attributes. */
import { PackedNames } from '../protocol/packed-names.js';
import type { Attributes } from '../protocol/types.js';
import type { DirectoryPage, NamesPage } from './file-system.js';

export function namesPageOf({ entries, parent, isLast }: DirectoryPage): NamesPage {
  const names = PackedNames.of(
    entries.map(({ name, attributes: { inode, mode } }) => ({ name, inode, mode })),
  );
  const attributes = new Map(entries.map(entry => [entry.attributes.inode, entry.attributes]));
  return { names, attributesOf: inode => attributes.get(inode), parent, isLast };
}

/** The page with attributes as `files` shows them: with what is written and not committed. */
export function withPresent(
  page: NamesPage,
  files: { present(attributes: Attributes): Attributes },
): NamesPage {
  const attributesOf = (entry: number): Attributes | undefined => {
    const attributes = page.attributesOf(entry);
    return attributes && files.present(attributes);
  };
  return { ...page, attributesOf };
}
