/** Everything that an installed machine has of DFS, below a prefix: the same for the Debian package and the archive. */
import { readFileSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { COMMANDS } from '../cli/commands.js';
import { billOfMaterials } from './bill-of-materials.js';
import { MOUNT_HELPER } from '../cli/mount/mount-helper.js';
import { UMOUNT_HELPER } from '../cli/mount/umount-helper.js';
import { bashCompletion, fishCompletion, zshCompletion } from './completions.js';
import { collectLicences } from './licences.js';
import { manPage, overviewPage, type Edition } from './man-page.js';
import { mountHelperPage, umountHelperPage } from './mount-helper-page.js';
import { stageNativePackages } from './native-modules.js';
import { filesBelow, type Staging } from './staging.js';

export interface TreeOptions {
  /** The clone that is built. */
  readonly clone: string;
  readonly edition: Edition;
  readonly builtAt: Date;
  /** x64 or arm64. */
  readonly architecture: string;
  /** Where it is to be in the end, which units and links name: /usr, or /usr/local. */
  readonly prefix: string;
  /** Where that is in the staging. */
  readonly stagedPrefix: string;
}

/** What of bin/ an installed machine has: DFS itself, and what that needs. `ls` and `copy` would hide the system's. */
const PROGRAM_FILES: readonly string[] = ['start.js', 'node-choice.sh', 'package.json'];

/** Where mount(8) and umount(8) look for them. */
const MOUNT_PROGRAMS: readonly string[] = [MOUNT_HELPER, UMOUNT_HELPER];

/** @returns the machine code that was packed, besides Node */
export function stageTree(staging: Staging, options: TreeOptions): string[] {
  const { clone, stagedPrefix: prefix } = options;
  const home = join(prefix, 'lib/dfs');
  staging.copyProgram(join(clone, 'bin/dfs'), join(home, 'bin/dfs'));
  for (const name of PROGRAM_FILES) staging.copy(join(clone, 'bin', name), join(home, 'bin', name));
  staging.copy(join(clone, 'package.json'), join(home, 'package.json'));
  staging.link('../lib/dfs/bin/dfs', join(prefix, 'bin/dfs'));
  for (const name of MOUNT_PROGRAMS) {
    staging.copyProgram(join(clone, 'bin', name), join(home, 'bin', name));
    staging.link(`../lib/dfs/bin/${name}`, join(prefix, 'sbin', name));
  }
  const bundle = join(clone, 'build/bundle');
  for (const path of filesBelow(bundle)) {
    // What Node keeps of the code that it compiled here.
    if (!path.startsWith('compiled/')) staging.copy(join(bundle, path), join(home, 'build/bundle', path));
  }
  // Where bin/node-choice.sh looks first.
  staging.copyProgram(
    realpathSync(join(clone, `node_modules/node-linux-${options.architecture}/bin/node`)),
    join(home, 'node_modules/.dfs/node'),
  );
  stageUnits(staging, options);
  stageDocumentation(staging, options);
  return stageNativePackages(clone, staging, home, options.architecture);
}

function stageUnits(staging: Staging, { clone, prefix, stagedPrefix }: TreeOptions): void {
  const units = join(clone, 'packaging/systemd');
  for (const name of readdirSync(units).sort()) {
    const text = readFileSync(join(units, name), 'utf8').replaceAll('/usr/bin/dfs', `${prefix}/bin/dfs`);
    staging.write(join(stagedPrefix, 'lib/systemd/system', name), text);
  }
  for (const directory of ['sysusers.d', 'tmpfiles.d']) {
    staging.copy(
      join(clone, 'packaging', `${directory}.conf`),
      join(stagedPrefix, 'lib', directory, 'dfs.conf'),
    );
  }
}

function stageDocumentation(staging: Staging, options: TreeOptions): void {
  const { clone, edition, stagedPrefix: prefix } = options;
  const compressed = (text: string): Buffer => gzipSync(text, { level: 9 });
  const share = (path: string): string => join(prefix, 'share', path);
  for (const command of COMMANDS) {
    const page = manPage(command, edition);
    staging.write(share(`man/man1/dfs-${command.name}.1.gz`), compressed(page));
  }
  staging.write(share('man/man1/dfs.1.gz'), compressed(overviewPage(COMMANDS, edition)));
  staging.write(share('man/man8/mount.dfs.8.gz'), compressed(mountHelperPage(edition)));
  staging.write(share('man/man8/umount.fuse.dfs.8.gz'), compressed(umountHelperPage(edition)));
  staging.write(share('bash-completion/completions/dfs'), bashCompletion(COMMANDS));
  staging.write(share('zsh/vendor-completions/_dfs'), zshCompletion(COMMANDS));
  staging.write(share('fish/vendor_completions.d/dfs.fish'), fishCompletion(COMMANDS));
  const documents = (name: string): string => share(join('doc/dfs', name));
  staging.copy(join(clone, 'README.md'), documents('README.md'));
  staging.write(documents('changelog.gz'), compressed(readFileSync(join(clone, 'CHANGELOG.md'), 'utf8')));
  staging.copy(join(clone, 'LICENSE'), documents('copyright'));
  staging.write(documents('third-party-licences.gz'), compressed(collectLicences(clone)));
  staging.write(documents('sbom.cdx.json'), billOfMaterials(clone, options.builtAt));
}
