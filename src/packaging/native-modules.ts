/** What of node_modules the bundle needs: the packages that are not in it because they bring machine code, and what those need. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, type Staging } from './staging.js';

/** Machine code for others: other systems, other C libraries, other processors, other programs than Node. */
const FOREIGN =
  /darwin|win32|windows|android|freebsd|openbsd|musl|electron|ia32|riscv|ppc64|loong|abi\d|linux-arm(?!64)/;
/** Sources, and what was left of building. */
const NOT_FOR_RUNNING =
  /(^|\/)(deps|test|tests|docs?|example|obj\.target|\.deps|include|scripts|node_modules)\//;
const RUNS = /\.(c?js|json|node)$/;
const LICENCE = /(^|\/)(licen[cs]e|copying|notice)[^/]*$/i;

interface PackageDescription {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
}

export function readDescription(directory: string): PackageDescription {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as PackageDescription;
}

/** Directories below node_modules, sorted, of the packages that the bundle leaves out, and of all that those need. */
export function nativePackages(clone: string): string[] {
  const bundle = readDescription(clone).scripts?.['bundle'] ?? '';
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name) || !existsSync(join(clone, 'node_modules', name))) return;
    found.add(name);
    const { dependencies, optionalDependencies } = readDescription(join(clone, 'node_modules', name));
    for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) visit(each);
  };
  for (const [, name = ''] of bundle.matchAll(/--external:(\S+)/g)) visit(name);
  return [...found].sort();
}

/** Whether a file of such a package is of use on this machine. */
export function isNeeded(packageName: string, path: string, architecture: string): boolean {
  if (NOT_FOR_RUNNING.test(path)) return false;
  if (LICENCE.test(path)) return true;
  if (!RUNS.test(path)) return false;
  if (!path.endsWith('.node')) return true;
  const other = architecture === 'x64' ? /arm64/ : /x64/;
  return !FOREIGN.test(path) && !other.test(`${packageName}/${path}`);
}

/** Copies them to `prefix`/node_modules, and returns the paths of their machine code. */
export function stageNativePackages(
  clone: string,
  staging: Staging,
  prefix: string,
  architecture: string,
): string[] {
  const machineCode: string[] = [];
  for (const name of nativePackages(clone)) {
    const directory = join(clone, 'node_modules', name);
    const files = filesBelow(directory).filter(path => isNeeded(name, path, architecture));
    // A package for others alone.
    if (FOREIGN.test(name)) continue;
    for (const path of files) {
      staging.copy(join(directory, path), join(prefix, 'node_modules', name, path));
      if (path.endsWith('.node')) machineCode.push(join(directory, path));
    }
  }
  return machineCode;
}

/** The newest version of a library's symbols, e.g. GLIBC, that machine code asks for: `2.34`; undefined for none. */
export function newestSymbolVersion(paths: readonly string[], library: string): string | undefined {
  const pattern = new RegExp(`${library}_(\\d+(?:\\.\\d+)+)\\b`, 'g');
  const versions = paths.flatMap(path =>
    [...readFileSync(path, 'latin1').matchAll(pattern)].map(([, version = '']) => version),
  );
  return versions.sort(compareVersions).at(-1);
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map(each => each.split('.').map(Number));
  for (const [place, number] of (left ?? []).entries()) {
    const difference = number - (right?.[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return (left?.length ?? 0) - (right?.length ?? 0);
}
