/** The log of a service, as a supervisor follows it and as people read its end. */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  ERROR_LEVEL,
  LogFollower,
  logLength,
  parseLogLine,
  readableTail,
} from '../../../../src/cli/services/service-log.js';

const directory = mkdtempSync(join(tmpdir(), 'dfs-service-log-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

t.test('lines are told once, when they are whole', async t => {
  const path = join(directory, 'followed');
  t.same(new LogFollower(path, 0).readLines(), [], 'no file yet');
  writeFileSync(path, 'old\n');
  const log = new LogFollower(path, logLength(path));
  t.same(log.readLines(), []);
  appendFileSync(path, 'first\nsec');
  t.same(log.readLines(), ['first']);
  appendFileSync(path, `ond\n${'ö'.repeat(70_000)}\n`);
  t.same(
    log.readLines(),
    ['second', 'ö'.repeat(70_000)],
    'also one that is longer than what is read at once',
  );
  t.same(log.readLines(), []);
});

t.test('a line that is no object is no entry', async t => {
  t.same(parseLogLine('{"msg":"ready"}'), { msg: 'ready' });
  for (const line of ['', 'Segmentation fault', '3', 'null', '{"msg":'])
    t.equal(parseLogLine(line), undefined, line);
});

t.test('people are shown the end without braces', async t => {
  const path = join(directory, 'shown');
  t.same(readableTail(path, 0, 5), []);
  writeFileSync(
    path,
    [
      '{"level":30,"time":"T0","msg":"before the mark"}',
      '{"level":30,"time":"T1","name":"mount","pid":1,"msg":"fine","port":1}',
      'plain',
      '{"level":50,"time":"T2","name":"mount","pid":1,"msg":"bad","err":{"message":"why"}}',
      '',
    ].join('\n'),
  );
  const mark = '{"level":30,"time":"T0","msg":"before the mark"}\n'.length;
  t.same(readableTail(path, mark, 5), ['T1 info fine {"port":1}', 'plain', 'T2 error bad: why']);
  t.same(readableTail(path, mark, 1), ['T2 error bad: why']);
  t.same(readableTail(path, mark, 5, ERROR_LEVEL), ['plain', 'T2 error bad: why']);
});
