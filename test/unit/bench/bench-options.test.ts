/** The command line of the benchmark: what is measured by which options, and what is refused. */
import t from 'tap';
import { readOptions } from '../../bench/bench-options.js';

t.test('--mounts measures several mounts of DFS beside MooseFS', async t => {
  const { subjects, mounts, workloads } = await readOptions(['--mounts', '4,2,4']);
  t.same(subjects, ['dfs1', 'moosefs1']);
  t.match(mounts, { together: [2, 4], serverTime: [2, 4] }, 'each number once, in ascending order');
  t.equal(workloads.name, 'several mounts');
});

t.test("--server-mounts chooses other numbers for the server's processor time", async t => {
  const { mounts } = await readOptions(['--mounts=2', '--server-mounts=2,4,20', '--quick']);
  t.match(mounts, { together: [2], serverTime: [2, 4, 20] });
  const full = await readOptions(['--mounts=2']);
  t.ok((mounts?.sizes.files ?? 0) < (full.mounts?.sizes.files ?? 0), '--quick is smaller');
});

t.test('subjects can be chosen, and get their peers', async t => {
  t.same((await readOptions(['--mounts=2', '--subjects=dfs2'])).subjects, ['dfs2']);
  const withPeers = await readOptions(['--mounts=2', '--subjects=dfs2', '--peer=moosefs']);
  t.same(withPeers.subjects, ['dfs2', 'moosefs2']);
  t.same((await readOptions(['--subjects=dfs2', '--peer=glusterfs'])).subjects, ['dfs2', 'glusterfs']);
});

t.test('without --mounts one mount is measured, as ever', async t => {
  const { subjects, groups, mounts, runs } = await readOptions(['--only=small', '--own', '--runs=3']);
  t.same(subjects, ['dfs1', 'dfs2', 'null', 'local']);
  t.same(groups, ['small']);
  t.equal(mounts, undefined);
  t.equal(runs, 3);
});

t.test('what makes no sense is refused in one sentence', async t => {
  const refuses = async (parameters: readonly string[], sentence: RegExp): Promise<void> => {
    await t.rejects(readOptions(parameters), { message: sentence }, parameters.join(' '));
  };
  await refuses(['--mounts=two'], /^'two' is not a number of mounts; give a whole number from 1 to 100$/);
  await refuses(['--mounts=2,'], /^'' is not a number of mounts/);
  await refuses(['--mounts=0'], /^'0' is not a number of mounts/);
  await refuses(['--mounts=2', '--subjects=dfs1,null'], /^'null' cannot be mounted several times; give some/);
  await refuses(
    ['--mounts=2', '--subjects=dfs2', '--peer=glusterfs'],
    /^'glusterfs' cannot be mounted several/,
  );
  await refuses(['--peer=ceph'], /Invalid values:\s+Argument: peer, Given: "ceph"/);
  await refuses(['--mounts=2', '--only=small'], /^--only and --own choose workloads of one mount/);
  await refuses(['--mounts=2', '--own'], /^--only and --own choose workloads of one mount/);
  await refuses(['--server-mounts=2'], /^--server-mounts is given with --mounts alone$/);
  await refuses(['--subjects=ceph'], /^there is no subject 'ceph'; give some of dfs1,/);
  await refuses(['--only=fast'], /^there is no group 'fast'; give some of /);
  await refuses(['--runs=0'], /^'0' is not a number of runs/);
  await refuses(['--mount=2'], /Unknown argument: mount/);
  await refuses(['2'], /there are only options|Unknown/);
});
