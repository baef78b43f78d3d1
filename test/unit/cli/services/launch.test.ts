/** A service never runs without a record of it, even when the one that starts it is killed in between. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { LAUNCH_SCRIPT } from '../../../../src/cli/services/launch.js';

/** What becomes of a service that is told this by the one that starts it, which then ends. */
async function launched(word: string): Promise<{ readonly code: unknown; readonly output: string }> {
  const child = spawn('sh', ['-c', LAUNCH_SCRIPT, 'service', 'echo', 'it runs'], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  const go = child.stdio[3];
  if (go && 'end' in go) go.end(word);
  let output = '';
  child.stdout?.on('data', (data: Buffer) => (output += data.toString()));
  const [code]: unknown[] = await once(child, 'close');
  return { code, output };
}

t.test('it runs when it is told to', async t => {
  t.same(await launched('go\n'), { code: 0, output: 'it runs\n' });
});

t.test('it does not run when nobody is left to tell it', async t => {
  for (const word of ['', 'g', 'go', 'stop\n']) t.match(await launched(word), { code: 1, output: '' }, word);
});
