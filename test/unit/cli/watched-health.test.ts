/** What `dfs status --watch` tells in a pipe, and how it ends. */
import t from 'tap';
import { changeLines, repeatUntilEnded } from '../../../src/cli/watched-health.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { HealthCondition } from '../../../src/protocol/cluster-commands.js';

const SILENT: HealthCondition = { code: 'NODE_SILENT', severity: 'warning', text: 'node 1 is silent' };
const LOST: HealthCondition = { code: 'NODE_LOST', severity: 'warning', text: 'node 1 is away' };

t.test('a line for each code that comes or goes', async t => {
  t.same(changeLines(undefined, [], 'T'), ['T healthy']);
  t.same(changeLines([], [], 'T'), []);
  t.same(changeLines([], [SILENT], 'T'), ['T warning NODE_SILENT: node 1 is silent']);
  t.same(changeLines([SILENT], [{ ...SILENT, text: 'nodes 1, 2 are silent' }], 'T'), [], 'the same code');
  t.same(changeLines([SILENT], [LOST], 'T'), ['T warning NODE_LOST: node 1 is away', 'T over NODE_SILENT']);
  t.same(changeLines([LOST], [], 'T'), ['T over NODE_LOST', 'T healthy']);
});

t.test('the first signal ends it, also while the server does not answer', async t => {
  const away = repeatUntilEnded(systemClock, async () => {
    setImmediate(() => process.emit('SIGINT'));
    await new Promise<void>(() => undefined);
  });
  await t.resolves(away);
  await t.rejects(
    repeatUntilEnded(systemClock, async () => {
      throw new Error('no server');
    }),
    /no server/,
  );
});
