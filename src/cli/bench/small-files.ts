/** small and dirs: many small files, one after the other and by several processes at a time. */
import type { Bench } from './bench.js';
import type { FileSet, Share } from './name-tasks.js';

export async function smallFiles(bench: Bench): Promise<void> {
  const { workers, sizes } = bench;
  const { files, directories, fileBytes, parallel } = sizes;
  const one: FileSet = { top: bench.path('small'), files, directories, fileBytes };
  const several: FileSet = { ...one, top: bench.path(`small${parallel}`) };
  const all: Share = { set: one, first: 0, step: 1 };
  const shareOf = (index: number): Share => ({ set: several, first: index, step: parallel });

  for (const set of [one, several]) await workers.run('makeSet', { set });
  await bench.settle();
  bench.reportRate('create-1p', 'files/s', [await workers.run('createFiles', all)]);
  await bench.settle();
  bench.reportRate(`create-${parallel}p`, 'files/s', await workers.runAll('createFiles', shareOf));
  await lookAt(bench, all);
  await bench.cold(async () => {
    const read = await workers.runAll('readFiles', shareOf);
    bench.reportRate(`read-small-cold-${parallel}p`, 'files/s', read);
  });
  bench.reportRate('rename', 'ops/s', [await workers.run('renameFiles', all)]);
  bench.reportRate('chmod', 'ops/s', [await workers.run('chmodFiles', all)]);
  bench.reportRate('unlink-1p', 'ops/s', [await workers.run('unlinkFiles', { ...all, areRenamed: true })]);
  const unlinkOf = (index: number) => ({ ...shareOf(index), areRenamed: false });
  bench.reportRate(`unlink-${parallel}p`, 'ops/s', await workers.runAll('unlinkFiles', unlinkOf));
  for (const set of [one, several]) await workers.run('removeSet', { set });
}

/** Attributes, names and content, first cold and then warm. */
async function lookAt(bench: Bench, all: Share): Promise<void> {
  const { workers } = bench;
  const { top, files, directories } = all.set;
  const list = async (name: string): Promise<void> => {
    bench.reportSeconds(name, (await bench.program('ls', ['-lR', top])).seconds);
  };
  await bench.cold(async () => {
    bench.reportRate('stat-cold', 'ops/s', [await workers.run('statFiles', all)]);
  });
  bench.reportRate('stat-warm', 'ops/s', [await workers.run('statFiles', all)]);
  await bench.cold(async () => await list('ls-lR-cold'));
  await list('ls-lR-warm');
  await bench.cold(async () => {
    const { seconds, stdout } = await bench.program('find', [top]);
    const found = stdout.trim().split('\n').length;
    if (found !== files + directories + 1) throw new Error(`find(1) found ${found} names in ${top}`);
    bench.reportSeconds('find-cold', seconds);
  });
  await bench.cold(async () => {
    bench.reportRate('read-small-cold', 'files/s', [await workers.run('readFiles', all)]);
  });
  bench.reportRate('read-small-warm', 'files/s', [await workers.run('readFiles', all)]);
}

export async function directoriesAlone(bench: Bench): Promise<void> {
  const { workers, sizes } = bench;
  const set = { top: bench.path('dirs'), count: sizes.mkdirs };
  await bench.settle();
  bench.reportRate('mkdir', 'ops/s', [await workers.run('makeDirectories', set)]);
  bench.reportRate('rmdir', 'ops/s', [await workers.run('removeDirectories', set)]);
}
