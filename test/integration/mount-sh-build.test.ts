/** When mount.sh builds: whenever what the build is made of has changed, and only then. */
import { chmod, cp, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { environmentFor, inClone, runFile, shell } from '../support/programs.js';

/** In the place of npm: notes what it was called for, and makes what the build would leave. */
const NPM = `#!/bin/sh
echo "$*" >>"$NPM_CALLS"
mkdir -p build/src/cli && touch build/src/cli/main.js build/.built
`;

t.test(
  'mount.sh builds anew when a source, package.json or the lock file changed or went, and only then',
  async t => {
    const directory = await realpath(await mkdtemp(join(tmpdir(), 'dfs-mount-sh-build-')));
    t.teardown(async () => await rm(directory, { recursive: true, force: true }));
    const clone = join(directory, 'clone');
    const calls = join(directory, 'calls');
    await mkdir(join(clone, 'src', 'sub', 'deep'), { recursive: true });
    await cp(inClone('bin'), join(clone, 'bin'), { recursive: true });
    for (const name of ['mount.sh', 'package.json', 'package-lock.json', 'tsconfig.json']) {
      await cp(inClone(name), join(clone, name));
    }
    await symlink(inClone('node_modules'), join(clone, 'node_modules'));
    for (const name of ['a.ts', 'b.ts', 'sub/c.ts', 'sub/deep/d.ts'])
      await writeFile(join(clone, 'src', name), '');
    await mkdir(join(directory, 'bin'));
    await writeFile(join(directory, 'bin', 'npm'), NPM);
    await chmod(join(directory, 'bin', 'npm'), 0o755);
    const env = {
      ...environmentFor(join(directory, 'home')),
      NPM_CALLS: calls,
      PATH: `${join(directory, 'bin')}:${process.env['PATH'] ?? ''}`,
    };

    /** How often it builds; it then stops, since nothing can be mounted at /proc. */
    const builds = async (): Promise<number> => {
      await writeFile(calls, '');
      const { stderr } = await runFile(join(clone, 'mount.sh'), ['/proc'], { env });
      t.match(stderr, /\/proc is already the mount point of proc/);
      return (await readFile(calls, 'utf8')).split('\n').filter(line => line === 'run build').length;
    };
    const changes: readonly (readonly [string, string])[] = [
      ['nothing was built yet', 'true'],
      ['package.json changed', 'echo >> package.json'],
      ['the lock file changed', 'touch package-lock.json'],
      ['tsconfig.json changed', 'touch tsconfig.json'],
      ['a source changed', 'echo >> src/sub/deep/d.ts'],
      ['a source is gone', 'rm src/b.ts'],
      ['a directory of sources is gone', 'rm -r src/sub/deep'],
      ['an older source came in the place of another', 'touch -d 2001-02-03 ../old && mv ../old src/a.ts'],
    ];
    for (const [what, change] of changes) {
      await shell(change, { cwd: clone });
      t.equal(await builds(), 1, what);
    }
    t.equal(await builds(), 0, 'nothing changed');
  },
);
