/**
 * What the tests need of the system besides Node and npm; with the argument `programs`, also what those in test/programs
 * need. Run before them (package.json): as root on Debian
 * and its kin it installs what is missing; otherwise it says what to install, and exits with 1.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { findProgram, hasProgram } from './find-program.js';
import { faketimeLibrary } from './jumping-clock.js';

interface Prerequisite {
  readonly what: string;
  /** The Debian package that has it. */
  readonly debianPackage: string;
  readonly isThere: () => boolean;
}

const PREREQUISITES: readonly Prerequisite[] = [
  {
    what: 'libfuse.so.2, by which DFS mounts',
    debianPackage: 'libfuse2',
    isThere: () => output(findProgram('ldconfig') ?? 'ldconfig', ['-p']).includes('libfuse.so.2'),
  },
  {
    what: 'fusermount3, by which users mount and unmount',
    debianPackage: 'fuse3',
    isThere: () => hasProgram('fusermount3'),
  },
  {
    what: 'python3, which does what shell scripts cannot do to a mount',
    debianPackage: 'python3-minimal',
    isThere: () => hasProgram('python3'),
  },
  {
    what: 'flock, setsid and setpriv, by which processes are started',
    debianPackage: 'util-linux',
    isThere: () => hasProgram('flock') && hasProgram('setsid') && hasProgram('setpriv'),
  },
  {
    what: 'setfacl and getfacl, by which people set ACLs',
    debianPackage: 'acl',
    isThere: () => hasProgram('setfacl') && hasProgram('getfacl'),
  },
  {
    what: 'setfattr and getfattr, by which people set goals',
    debianPackage: 'attr',
    isThere: () => hasProgram('setfattr') && hasProgram('getfattr'),
  },
  {
    what: 'mkfs.ext4 and e2fsck, by which disks fail',
    debianPackage: 'e2fsprogs',
    isThere: () => hasProgram('mkfs.ext4') && hasProgram('e2fsck'),
  },
  {
    what: 'ip, by which networks are cut',
    debianPackage: 'iproute2',
    isThere: () => hasProgram('ip'),
  },
  {
    what: 'shellcheck, which looks for mistakes in shell scripts',
    debianPackage: 'shellcheck',
    isThere: () => hasProgram('shellcheck'),
  },
  {
    what: 'systemd-analyze, which looks for mistakes in units',
    debianPackage: 'systemd',
    isThere: () => hasProgram('systemd-analyze'),
  },
  {
    what: 'systemd-nspawn, by which machines are booted',
    debianPackage: 'systemd-container',
    isThere: () => hasProgram('systemd-nspawn'),
  },
  {
    what: 'dbus-daemon, by which a machine is told what to start',
    debianPackage: 'dbus',
    isThere: () => hasProgram('dbus-daemon'),
  },
  {
    what: 'libfaketime, by which clocks jump',
    debianPackage: 'faketime',
    isThere: () => faketimeLibrary() !== undefined,
  },
];
/** What only the real programs (test/programs) need: themselves. */
const PROGRAMS: readonly Prerequisite[] = [
  { what: 'git', debianPackage: 'git', isThere: () => hasProgram('git') },
  { what: 'rsync', debianPackage: 'rsync', isThere: () => hasProgram('rsync') },
  {
    what: 'PostgreSQL with pgbench',
    debianPackage: 'postgresql',
    isThere: () => existsSync('/usr/lib/postgresql'),
  },
];
const FUSE_DEVICE = '/dev/fuse';
function output(program: string, parameters: readonly string[]): string {
  return execFileSync(program, parameters, { encoding: 'utf8', maxBuffer: 16 << 20 });
}

function missing(): Prerequisite[] {
  const wanted = process.argv.includes('programs') ? [...PREREQUISITES, ...PROGRAMS] : PREREQUISITES;
  return wanted.filter(({ isThere }) => !isThere());
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function install(packages: readonly string[]): void {
  const aptGet = (...parameters: string[]): void => {
    execFileSync('apt-get', ['-q', '-y', ...parameters], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  };
  aptGet('update');
  aptGet('install', '--no-install-recommends', ...packages);
}

function main(): number {
  const absent = missing();
  const packages = absent.map(({ debianPackage }) => debianPackage);
  if (packages.length > 0) {
    const canInstall = process.getuid?.() === 0 && hasProgram('apt-get');
    if (canInstall) {
      say(`Installing ${packages.join(' ')}, which the tests need.`);
      try {
        install(packages);
      } catch (error) {
        say(`apt-get failed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    const still = canInstall ? missing() : absent;
    if (still.length > 0) {
      for (const { what } of still) say(`The tests need ${what}; it is not there.`);
      const wanted = still.map(({ debianPackage }) => debianPackage).join(' ');
      say(`On Debian and its kin: apt-get install ${wanted} (as root)`);
      return 1;
    }
  }
  if (!existsSync(FUSE_DEVICE)) {
    say(
      `The tests mount a file system, and there is no ${FUSE_DEVICE}. Load the kernel's module (modprobe fuse, as ` +
        'root); in a container, start it with --device /dev/fuse --cap-add SYS_ADMIN.',
    );
    return 1;
  }
  return 0;
}

process.exitCode = main();
