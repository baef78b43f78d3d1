/**
 * `npm run package`: a Debian package and an archive of what is built here, each with its own Node. The machine that they are installed on
 * needs neither Node, npm nor a compiler.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import '../platform/supported-node.js';
import { packArchive } from './archive.js';
import { debianArchitecture, packDebian } from './debian-package.js';
import { stageTree } from './installed-tree.js';
import { readDescription } from './native-modules.js';
import { Staging } from './staging.js';

const CLONE = fileURLToPath(new URL('../../../', import.meta.url));
const MIB = 1 << 20;

/** When the commit was made that is packed, so that packing it again gives the same bytes; SOURCE_DATE_EPOCH says another. */
function commitTime(): Date {
  const { SOURCE_DATE_EPOCH = '' } = process.env;
  const seconds =
    SOURCE_DATE_EPOCH === ''
      ? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: CLONE, encoding: 'utf8' })
      : SOURCE_DATE_EPOCH;
  return new Date(Number(seconds) * 1000);
}

function main(): void {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', default: join(CLONE, 'build/packages') },
      /** none: quick, for tests. */
      compression: { type: 'string', default: 'xz' },
      only: { type: 'string' },
    },
  });
  const output = resolve(values.output);
  const { version } = readDescription(CLONE);
  const architecture = process.arch;
  const builtAt = commitTime();
  const edition = { version, date: builtAt.toISOString().slice(0, 10) };
  const common = { clone: CLONE, edition, builtAt, architecture };
  if (!existsSync(join(CLONE, 'build/bundle/bin/main.js'))) throw new Error('it is not built: npm run build');
  mkdirSync(output, { recursive: true });
  const made: string[] = [];

  if (values.only !== 'archive') {
    const debian = newStaging(join(output, 'staging-debian'));
    const machineCode = stageTree(debian, { ...common, prefix: '/usr', stagedPrefix: 'usr' });
    const path = join(output, `dfs_${version}_${debianArchitecture(architecture)}.deb`);
    const { compression } = values;
    packDebian(debian, { ...common, version, machineCode, compression, output: path });
    made.push(path);
  }
  if (values.only !== 'debian') {
    const name = `dfs-${version}-linux-${architecture}`;
    const archive = newStaging(join(output, 'staging-archive', name));
    stageTree(archive, { ...common, prefix: '/usr/local', stagedPrefix: '' });
    const path = join(output, `${name}.tar.gz`);
    packArchive(archive.root, builtAt, path, values.compression === 'none' ? 1 : 9);
    made.push(path);
  }
  for (const name of ['staging-debian', 'staging-archive'])
    rmSync(join(output, name), { recursive: true, force: true });
  for (const path of made) process.stdout.write(`${path} (${Math.round(statSync(path).size / MIB)} MiB)\n`);
}

function newStaging(root: string): Staging {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  // Whatever the umask is: it is the machine's root directory in the package.
  chmodSync(root, 0o755);
  return new Staging(root);
}

main();
