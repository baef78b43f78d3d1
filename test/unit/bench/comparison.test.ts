/** From measurements to medians, ratios and targets, and how they are shown. */
import t from 'tap';
import { chart } from '../../bench/chart.js';
import { compare, median, ratioOf, type SubjectRun } from '../../bench/comparison.js';
import { togetherBesideAlone } from '../../bench/mounts/beside-alone.js';
import { markdownTable, remarks, terminalTable } from '../../bench/report.js';
import type { SubjectName } from '../../bench/subject.js';
import { COMPARISONS, isMet, targetOf, type Comparison } from '../../bench/targets.js';

const GOAL_1: Comparison = { subject: 'dfs1', reference: 'moosefs1' };
const GOAL_2: Comparison = { subject: 'dfs2', reference: 'moosefs2' };
const GLUSTERFS: Comparison = { subject: 'dfs2', reference: 'glusterfs' };
const NULL: Comparison = { subject: 'dfs1', reference: 'null' };

function runOf(
  run: number,
  subject: SubjectName,
  measured: Readonly<Record<string, readonly [number, string]>>,
  notes: Readonly<Record<string, string>> = {},
): SubjectRun {
  const measurements = Object.entries(measured).map(([name, [value, unit]]) => ({
    name,
    value,
    unit,
    notes,
  }));
  return { run, subject, measurements };
}

t.test('the median is the middle one, or the mean of both', async t => {
  t.equal(median([3]), 3);
  t.equal(median([5, 1, 3]), 3);
  t.equal(median([4, 1, 2, 10]), 3);
  t.ok(Number.isNaN(median([])));
});

t.test('ratios are of speeds, of amounts for memory', async t => {
  t.equal(ratioOf('files/s', 200, 100), 2, 'twice as many');
  t.equal(ratioOf('MB/s', 50, 100), 0.5);
  t.equal(ratioOf('s', 2, 6), 3, 'a third of the time');
  t.equal(ratioOf('ms', 2, 6), 3, 'a third of the time');
  t.equal(ratioOf('MiB', 300, 600), 0.5, 'half the memory');
  t.equal(ratioOf('µs/op', 300, 600), 0.5, 'half the processor time');
});

t.test('targets are those of the workload, the goal and the reference', async t => {
  t.same(targetOf('create-1p', GOAL_1), { kind: 'at least', ratio: 2 });
  t.same(targetOf('seq-write', GOAL_1), { kind: 'at least', ratio: 1 });
  t.same(targetOf('seq-write', GOAL_2), { kind: 'at least', ratio: 1.5 });
  t.same(targetOf('memory-rss', GOAL_2), { kind: 'at most', ratio: 0.6 });
  t.same(targetOf('create-1p', NULL), { kind: 'at least', ratio: 0.6 });
  t.same(targetOf('seq-write', NULL), { kind: 'at least', ratio: 0.5 });
  t.equal(targetOf('git-clone', NULL), undefined);
  t.equal(targetOf('memory-rss', NULL), undefined);
  t.equal(targetOf('seq-read-warm', GOAL_1), undefined);
  t.same(targetOf('fsync-append-6p', GLUSTERFS), { kind: 'at least', ratio: 1 });
  t.equal(targetOf('create-1p', GLUSTERFS), undefined, 'GlusterFS is the measure of fsync alone');
  t.equal(targetOf('rand-write-4k-fsync', GOAL_1), undefined, 'MooseFS is none');
  t.same(targetOf('create@4', GOAL_1), { kind: 'at least', ratio: 2 }, 'with four mounts');
  t.equal(targetOf('create@1', GOAL_1), undefined, 'one mount alone is measured as the reference');
  t.same(targetOf('cpu-chmod@20', GOAL_1), { kind: 'at most', ratio: 1 });
  t.equal(targetOf('shared-list@2', GOAL_1), undefined);
  t.ok(isMet({ kind: 'at least', ratio: 2 }, 2));
  t.notOk(isMet({ kind: 'at least', ratio: 2 }, 1.999));
  t.ok(isMet({ kind: 'at most', ratio: 0.6 }, 0.6));
  t.notOk(isMet({ kind: 'at most', ratio: 0.6 }, 0.61));
});

const RUNS: readonly SubjectRun[] = [
  runOf(1, 'dfs1', { 'create-1p': [900, 'files/s'], untar: [2, 's'], 'memory-rss': [500, 'MiB'] }),
  runOf(1, 'moosefs1', { 'create-1p': [400, 'files/s'], untar: [3, 's'], 'memory-rss': [1000, 'MiB'] }),
  runOf(2, 'dfs1', { 'create-1p': [1100, 'files/s'], untar: [2.1, 's'] }, { other: '1.2s' }),
  { ...runOf(2, 'moosefs1', { 'create-1p': [600, 'files/s'] }), failure: 'it went away' },
];

t.test('rows have medians, ratios and marks', async t => {
  const rows = compare(RUNS, COMPARISONS);
  t.same(
    rows.map(({ workload }) => workload),
    ['create-1p', 'untar', 'memory-rss'],
  );
  const [create, untar, memory] = rows;
  t.same(create?.summaries.get('dfs1'), { median: 1000, isUnsteady: false });
  t.same(create?.summaries.get('moosefs1'), { median: 500, isUnsteady: true });
  t.match(create?.ratios, [{ comparison: GOAL_1, ratio: 2, isMet: true }]);
  t.equal(create?.ratios.length, 1, 'nothing is compared with what was not measured');
  t.match(untar?.ratios, [{ ratio: 3 / 2.05, isMet: false }]);
  t.match(memory?.ratios, [{ ratio: 0.5, isMet: true }]);
});

t.test('tables show them', async t => {
  const rows = compare(RUNS, COMPARISONS);
  const options = { subjects: ['dfs1', 'moosefs1'], comparisons: COMPARISONS.slice(0, 1) } as const;
  t.equal(
    markdownTable(rows, options),
    [
      '| workload | unit | dfs1 | moosefs1 | dfs1/moosefs1 |',
      '| --- | --- | ---: | ---: | ---: |',
      '| create-1p | files/s | 1000 | ~500 | 2.00 ≥2 ✓ |',
      '| untar | s | 2.05 | 3.00 | 1.46 ≥2 ✗ |',
      '| memory-rss | MiB | 500 | 1000 | 0.50 ≤0.6 ✓ |',
      '',
    ].join('\n'),
  );
  t.match(terminalTable(rows, options), /create-1p +│ files\/s │ 1000 │ +~500 │ +2\.00 ≥2 ✓ │/);
  const said = remarks(rows, RUNS).join('\n');
  t.match(said, /2 of 3 targets are met; not:\n {2}dfs1\/moosefs1: untar\n/);
  t.match(said, /2 of 2 measurements of dfs1 in run 2/);
  t.match(said, /moosefs1 failed in run 2: it went away/);
});

t.test('several mounts stand beside one', async t => {
  const rows = compare(
    [
      runOf(1, 'dfs1', {
        'create@1': [1000, 'files/s'],
        'create@2': [950, 'files/s'],
        'create@10': [500, 'files/s'],
      }),
      runOf(1, 'moosefs1', { 'create@1': [1000, 'files/s'], 'create@2': [100, 'files/s'] }),
    ],
    [],
  );
  t.same(togetherBesideAlone(rows, ['dfs1', 'moosefs1']), [
    'dfs1: 2 mounts create 0.95 × the files that one creates alone ≥0.9 ✓',
    'dfs1: 10 mounts create 0.50 × the files that one creates alone ≥0.9 ✗',
  ]);
  t.same(togetherBesideAlone(compare(RUNS, []), ['dfs1']), []);
});

t.test('lost lines are told', async t => {
  const run = runOf(1, 'moosefs1', { 'shared-append@2': [1000, 'ops/s'] }, { lost: '7' });
  t.match(remarks([], [run]).join('\n'), /moosefs1 lost 7 lines in shared-append@2, run 1\./);
});

t.test('the picture has a chart for each workload', async t => {
  const svg = await chart(compare(RUNS, COMPARISONS), ['dfs1', 'moosefs1']);
  t.match(svg, /^<svg /);
  t.match(svg, />create-1p \(files\/s\)</);
  t.match(svg, />untar \(s, less is better\)</);
});
