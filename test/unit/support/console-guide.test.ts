/** The guides that tests run: a line that a command does not print is noticed. */
import t from 'tap';
import { filledIn, guideSteps, isAsExpected } from '../../support/console-guide.js';

t.test('a guide is taken apart into commands and what they print', async t => {
  const text = [
    'text',
    '```console',
    'root@one:~# ls',
    'a',
    'b',
    'root@two:~# id',
    '```',
    'root@one:~# no',
  ].join('\n');
  t.same(guideSteps(text), [
    { machine: 'one', command: 'ls', expected: ['a', 'b'], line: 3 },
    { machine: 'two', command: 'id', expected: [], line: 6 },
  ]);
  t.throws(() => guideSteps('```console\nfoo\n```'), /line 2/);
});

t.test('what is printed has to be what the guide says', async t => {
  t.ok(isAsExpected('a\nb\n', ['a', 'b']));
  t.ok(isAsExpected('', []));
  t.ok(isAsExpected('a 17 b\n', ['a … b']));
  t.ok(isAsExpected('x\ny\nb\n', ['…', 'b']));
  t.ok(isAsExpected('b\n', ['…', 'b']));
  t.notOk(isAsExpected('a\n', []), 'nothing more');
  t.notOk(isAsExpected('', ['a']), 'nothing less');
  t.notOk(isAsExpected('a\nb\n', ['a …']), 'a line is a line');
  t.notOk(isAsExpected('axb\n', ['a.b']), 'dots are dots');
});

t.test('a command takes what another has printed', async t => {
  const printed = ['run:   join --token old', 'run:   join --token new', 'else'];
  t.equal(filledIn('join --token …', printed), 'join --token new');
  t.equal(filledIn('ls', printed), 'ls');
  t.throws(() => filledIn('leave …', printed), /nothing that was printed/);
});
