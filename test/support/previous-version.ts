/**
 * The version of DFS before this one, built from the history of this clone, so that tests can let its programs and today's work
 * together. Both use the packages that are installed here.
 */
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inClone, shell } from './programs.js';

/** The newest commit of the minor version before this one. `npm run release` tags it; a clone without the tag knows the commit. */
export const PREVIOUS = {
  version: '0.1.0',
  tag: 'v0.1.0',
  commit: 'ca83a2e439fbac40d5777087d941635cc405396d',
};

/** Whether this clone has the history that the previous version is built from: a shallow clone has not. */
export async function hasPreviousVersion(): Promise<boolean> {
  return await shell(`git -C "$CLONE" cat-file -e ${PREVIOUS.commit}^{commit}`, {
    env: { ...process.env, CLONE: inClone('') },
  }).then(
    () => true,
    () => false,
  );
}

/**
 * Builds it in a directory of its own, which the caller removes.
 * @returns the directory, laid out as a clone is: `bin/dfs`, …
 */
export async function buildPreviousVersion(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-previous-'));
  const installation = join(directory, PREVIOUS.version);
  try {
    await mkdir(installation);
    await symlink(inClone('node_modules'), join(installation, 'node_modules'));
    // The bundle is made of the TypeScript itself: whether its types are right was checked when it was new.
    await shell(
      `git -C "$CLONE" archive ${PREVIOUS.commit} src bin package.json | tar -x -C "$INSTALLATION"
       cd "$INSTALLATION"
       script=$("$NODE" -p "require('./package.json').scripts.bundle" | sed 's|build/src/\\([^ ]*\\)\\.js|src/\\1.ts|g')
       PATH="$INSTALLATION/node_modules/.bin:$PATH" sh -c "$script"`,
      { env: { ...process.env, CLONE: inClone(''), INSTALLATION: installation, NODE: process.execPath } },
    );
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  return installation;
}
