/** The Debian package of this clone, as `npm run package` makes it. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { inClone, runFile } from './programs.js';

/** Builds the package, not compressed, which would take most of the time. It is removed when `t` ends; its path. */
export async function builtPackage(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-package-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  const driver = inClone('build/src/packaging/package-driver.js');
  const { code, stderr } = await runFile(
    process.execPath,
    [driver, '--compression=none', '--only=debian', `--output=${directory}`],
    { env: { ...process.env, NODE_OPTIONS: '' } },
  );
  const name = (await readdir(directory)).find(each => each.endsWith('.deb'));
  if (code !== 0 || name === undefined) throw new Error(`the package could not be built: ${stderr}`);
  return join(directory, name);
}
