import { readFileSync } from 'node:fs';

/** DFS's version, from the package.json that stands three folders above the compiled form of this file. */
export function readVersion(): string {
  const description: unknown = JSON.parse(
    readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
  );
  const hasVersion = typeof description === 'object' && description !== null && 'version' in description;
  return hasVersion ? String(description.version) : 'unknown';
}
