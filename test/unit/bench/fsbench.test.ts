/** What fsbench prints, and which subjects and groups a user may ask for. */
import t from 'tap';
import { GROUP_NAMES, parseGroups } from '../../../src/cli/bench/groups.js';
import { BENCH_GROUP_NAMES, fileGroups } from '../../bench/bench-groups.js';
import { parseLine } from '../../bench/measuring-process.js';
import { chosenSubjects, parseSubjects } from '../../bench/subject-choice.js';

t.test('its lines are measurements with notes, or something else', async t => {
  t.same(parseLine('create-1p                    1345 files/s # cpu=0.14s'), {
    name: 'create-1p',
    value: 1345,
    unit: 'files/s',
    notes: { cpu: '0.14s' },
  });
  t.same(parseLine('ls-lR-cold                  0.169 s'), {
    name: 'ls-lR-cold',
    value: 0.169,
    unit: 's',
    notes: {},
  });
  t.match(parseLine('rand-read-4k-j1  6931 iops    # p50=101us pagecache_hits=0%'), {
    notes: { p50: '101us', pagecache_hits: '0%' },
  });
  t.equal(parseLine('# fsbench /mnt  2026-11-27 16:58:57  2 cpus'), undefined);
  t.equal(parseLine('FAIL content of /mnt/f'), undefined);
  t.equal(parseLine(''), undefined);
});

t.test('subjects are the usual ones, or those that are named, with their peers', async t => {
  t.same(chosenSubjects(undefined, undefined), ['dfs1', 'dfs2', 'null', 'local']);
  t.same(chosenSubjects(undefined, 'moosefs'), ['dfs1', 'dfs2', 'null', 'local', 'moosefs1', 'moosefs2']);
  t.same(chosenSubjects(['moosefs1', 'dfs1'], 'moosefs'), ['moosefs1', 'dfs1']);
  t.same(chosenSubjects(['dfs2'], 'moosefs'), ['dfs2', 'moosefs2']);
  t.same(chosenSubjects(['dfs1', 'dfs2'], 'glusterfs'), ['dfs1', 'dfs2', 'glusterfs']);
  t.same(parseSubjects('null,dfs1,null'), ['null', 'dfs1']);
  t.match(parseSubjects('null,ext4'), /^there is no subject 'ext4'; give some of dfs1,/);
});

t.test('groups run in their own order', async t => {
  t.same(parseGroups('append,seq', GROUP_NAMES), ['seq', 'append']);
  t.match(parseGroups('seq,fast', GROUP_NAMES), /^there is no group 'fast'; give some of seq,/);
  t.match(parseGroups('', GROUP_NAMES), /^there is no group ''/);
});

t.test('databases are a group of `npm run bench` alone', async t => {
  t.same(parseGroups('databases,seq', BENCH_GROUP_NAMES), ['seq', 'databases']);
  t.match(parseGroups('databases', GROUP_NAMES), /^there is no group 'databases'/);
  t.same(fileGroups(['seq', 'databases']), ['seq'], 'fsbench is not asked for them');
});
