/** The Debian package of a staged tree, which dpkg-deb packs. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newestSymbolVersion } from './native-modules.js';
import { filesBelow, type Staging } from './staging.js';

export interface DebianOptions {
  readonly clone: string;
  readonly version: string;
  /** As Node calls it. */
  readonly architecture: string;
  readonly machineCode: readonly string[];
  readonly builtAt: Date;
  /** As dpkg-deb calls it. */
  readonly compression: string;
  readonly output: string;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const MAINTAINER_SCRIPTS: readonly string[] = ['preinst', 'postinst', 'prerm', 'postrm'];
/** What Node 24 needs, by its BUILDING.md. */
const NODE_GLIBC = '2.28';

/** amd64 or arm64. */
export function debianArchitecture(architecture: string): string {
  const name = ARCHITECTURES[architecture];
  if (name === undefined) throw new Error(`there is no Node of DFS's own for ${architecture}`);
  return name;
}

/** The control file (deb-control(5)). */
export function controlFile(
  { version, architecture, machineCode }: DebianOptions,
  installedBytes: number,
): string {
  const glibc = newestSymbolVersion(machineCode, 'GLIBC') ?? NODE_GLIBC;
  const fields = {
    Package: 'dfs',
    Version: version,
    Architecture: debianArchitecture(architecture),
    Maintainer: 'The DFS authors <dfs@localhost>',
    'Installed-Size': String(Math.ceil(installedBytes / 1024)),
    Depends: `libc6 (>= ${Number(glibc.split('.')[1]) < 28 ? NODE_GLIBC : glibc}), libstdc++6, fuse3`,
    Recommends: 'libfuse2 | libfuse2t64, systemd',
    Section: 'admin',
    Priority: 'optional',
    Description: [
      'distributed file system that you mount and forget about',
      ' A metadata server knows the names, data nodes hold the bytes, and a mount is',
      ' where programs find them. With its own Node.js; libfuse2 is only for',
      ' dfs mount --driver fuse-native.',
    ].join('\n'),
  };
  return `${Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n')}\n`;
}

/** Packs what is staged, with the maintainer scripts in packaging/debian. */
export function packDebian(staging: Staging, options: DebianOptions): void {
  const { clone, builtAt, compression, output } = options;
  const files = filesBelow(staging.root).filter(path => !path.startsWith('DEBIAN/'));
  const sums: string[] = [];
  let bytes = 0;
  for (const path of files) {
    const stat = lstatSync(join(staging.root, path));
    bytes += stat.size;
    if (stat.isFile()) sums.push(`${md5(join(staging.root, path))}  ${path}\n`);
  }
  staging.write('DEBIAN/control', controlFile(options, bytes));
  staging.write('DEBIAN/md5sums', sums.join(''));
  for (const name of MAINTAINER_SCRIPTS)
    staging.copyProgram(join(clone, 'packaging/debian', name), `DEBIAN/${name}`);
  execFileSync('dpkg-deb', [`-Z${compression}`, '--root-owner-group', '--build', staging.root, output], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, SOURCE_DATE_EPOCH: String(Math.floor(builtAt.getTime() / 1000)) },
  });
}

/** deb-md5sums(5): against damage, not against attackers. */
function md5(path: string): string {
  return createHash('md5').update(readFileSync(path)).digest('hex');
}
