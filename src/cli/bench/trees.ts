/** tree and git: common programs on a tree of some thousand files. */
import { appendFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '../../protocol/errors.js';
import type { Bench } from './bench.js';
import { secondsOf } from './outcome.js';
import { sourceTree } from './source-tree.js';

export async function trees(bench: Bench): Promise<void> {
  const { workers } = bench;
  const { top, archive } = await sourceTree(bench);
  const { digest } = await workers.run('readTree', { top });
  const [unpacked, copied] = [bench.path('tree'), bench.path('tree2')];
  const measure = async (name: string, file: string, parameters: readonly string[]): Promise<void> => {
    bench.reportSeconds(name, (await bench.program(file, parameters)).seconds);
  };
  await bench.settle();
  await measure('untar', 'tar', ['xf', archive, '-C', bench.directory]);
  await bench.settle();
  await measure('cp-r', 'cp', ['-r', unpacked, copied]);
  await bench.cold(async () => {
    bench.reportSeconds('tree-read-cold', secondsOf([await workers.run('readTree', { top: copied })]));
  });
  const found = await workers.run('readTree', { top: copied });
  if (found.digest !== digest) throw new Error('the tree is another after tar(1) and cp -r');
  await measure('rm-rf', 'rm', ['-rf', copied]);
  await rm(unpacked, { recursive: true });
}

/** Nothing of the user's settings, and no work in the background. */
const GIT_ENVIRONMENT = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'bench',
  GIT_AUTHOR_EMAIL: 'bench@localhost',
  GIT_COMMITTER_NAME: 'bench',
  GIT_COMMITTER_EMAIL: 'bench@localhost',
  GIT_CONFIG_COUNT: '1',
  GIT_CONFIG_KEY_0: 'gc.auto',
  GIT_CONFIG_VALUE_0: '0',
};

export async function repositories(bench: Bench): Promise<void> {
  const git = async (directory: string, ...parameters: string[]) =>
    await bench.program('git', ['-C', directory, ...parameters], {
      env: { ...process.env, ...GIT_ENVIRONMENT },
    });
  try {
    await git('/', '--version');
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    bench.note('git is not installed, so nothing of it is measured');
    return;
  }
  const { top } = await sourceTree(bench);
  const origin = join(bench.scratch, 'origin');
  await bench.program('cp', ['-r', top, origin]);
  for (const command of [
    ['init', '-q'],
    ['add', '-A'],
    ['commit', '-q', '-m', 'x'],
    ['gc', '-q'],
  ]) {
    await git(origin, ...command);
  }
  const clone = bench.path('clone');
  const status = async (name: string): Promise<void> => {
    const { seconds, stdout } = await git(clone, 'status', '--porcelain');
    if (stdout !== '') throw new Error(`git status finds changes that nobody made: ${stdout.slice(0, 200)}`);
    bench.reportSeconds(name, seconds);
  };
  await bench.settle();
  const cloned = await git('/', 'clone', '-q', '--no-hardlinks', origin, clone);
  bench.reportSeconds('git-clone', cloned.seconds);
  await bench.cold(async () => await status('git-status-cold'));
  await status('git-status-warm');
  await appendFile(await someFile(clone), 'x\n');
  bench.reportSeconds('git-commit-1-file', (await git(clone, 'commit', '-q', '-a', '-m', 'y')).seconds);
  await git(clone, 'fsck', '--no-progress');
  await rm(clone, { recursive: true });
}

async function someFile(clone: string): Promise<string> {
  const part = (await readdir(clone)).find(name => name.startsWith('part')) ?? '';
  const [module = ''] = await readdir(join(clone, part));
  const [file = ''] = await readdir(join(clone, part, module));
  return join(clone, part, module, file);
}
