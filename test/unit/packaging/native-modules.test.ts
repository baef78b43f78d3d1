/** What of node_modules is packed (packaging/native-modules.ts), and the control file (packaging/debian-package.ts). */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { controlFile } from '../../../src/packaging/debian-package.js';
import { isNeeded, nativePackages, newestSymbolVersion } from '../../../src/packaging/native-modules.js';
import { inClone } from '../../support/programs.js';

t.test('the packages with machine code come with what they need', async t => {
  const names = nativePackages(inClone(''));
  for (const name of ['better-sqlite3', 'koffi', '@node-rs/crc32', 'fuse-native', 'fuse-shared-library'])
    t.ok(names.includes(name), name);
  t.notOk(names.includes('yargs'), 'what the bundle holds is not packed again');
});

t.test(
  'machine code for this processor and glibc is packed, sources and code for others are not',
  async t => {
    const cases: readonly (readonly [name: string, path: string, isPacked: boolean])[] = [
      ['better-sqlite3', 'prebuilds/linux-x64.node', true],
      ['better-sqlite3', 'prebuilds/linux-arm64.node', false],
      ['better-sqlite3', 'prebuilds/linuxmusl-x64.node', false],
      ['better-sqlite3', 'prebuilds/darwin-x64.node', false],
      ['better-sqlite3', 'deps/sqlite3/sqlite3.c', false],
      ['better-sqlite3', 'src/better_sqlite3.cpp', false],
      ['@koromix/koffi-linux-x64', 'linux_x64/koffi.node', true],
      ['@koromix/koffi-linux-x64', 'musl_x64/koffi.node', false],
      ['koffi', 'src/koffi/index.js', true],
      ['@node-rs/crc32', 'index.js', true],
      ['@node-rs/crc32-linux-x64-gnu', 'crc32.linux-x64-gnu.node', true],
      ['@node-rs/crc32-linux-x64-musl', 'crc32.linux-x64-musl.node', false],
      ['fuse-native', 'build/Release/fuse.node', true],
      ['fuse-native', 'build/Release/obj.target/fuse.node', false],
      ['koffi', 'LICENSE.txt', true],
    ];
    for (const [name, path, isPacked] of cases)
      t.equal(isNeeded(name, path, 'x64'), isPacked, `${name}/${path}`);
    t.ok(isNeeded('better-sqlite3', 'prebuilds/linux-arm64.node', 'arm64'));
    t.notOk(isNeeded('better-sqlite3', 'prebuilds/linux-x64.node', 'arm64'));
  },
);

t.test('the package asks for the C library that its machine code asks for', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'dfs-native-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'some.node');
  writeFileSync(path, '\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.9\0GLIBCXX_3.4.21\0');
  t.equal(newestSymbolVersion([path], 'GLIBC'), '2.34');
  t.equal(newestSymbolVersion([path], 'GLIBCXX'), '3.4.21');
  t.equal(newestSymbolVersion([], 'GLIBC'), undefined);
  const common = { clone: '', version: '1.2.3', builtAt: new Date(0), compression: 'none', output: '' };
  const control = controlFile({ ...common, architecture: 'arm64', machineCode: [path] }, 4097);
  t.match(control, 'Package: dfs\nVersion: 1.2.3\nArchitecture: arm64\n');
  t.match(control, 'Depends: libc6 (>= 2.34), libstdc++6, fuse3\n');
  t.match(control, 'Installed-Size: 5\n');
  t.match(controlFile({ ...common, architecture: 'x64', machineCode: [] }, 1), 'libc6 (>= 2.28)');
  t.throws(() => controlFile({ ...common, architecture: 'mips', machineCode: [] }, 1), /mips/);
});
