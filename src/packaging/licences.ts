/** The licences of everything that is in the package, as they ask for. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly version?: string }>>;
}

/** One after the other, for every package that is not for development alone. */
export function collectLicences(clone: string): string {
  const lock = JSON.parse(readFileSync(join(clone, 'package-lock.json'), 'utf8')) as Lock;
  const parts = Object.entries(lock.packages).flatMap(([path, { dev, version }]) => {
    const directory = join(clone, path);
    if (path === '' || dev === true || !existsSync(directory)) return [];
    const files = readdirSync(directory).filter(name => /^(licen[cs]e|copying|notice)/i.test(name));
    const name = path.replace(/^.*node_modules\//, '');
    const text = files.map(file => readFileSync(join(directory, file), 'utf8').trim()).join('\n\n');
    return [`${name} ${version ?? ''}\n${'='.repeat(name.length + 1 + (version ?? '').length)}\n\n${text}\n`];
  });
  return parts.join('\n\n');
}
