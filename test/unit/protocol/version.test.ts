/** Which versions work together. */
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { requireCompatible, VERSION } from '../../../src/protocol/version.js';
import { inClone } from '../../support/programs.js';

t.test('it is the version of the package', async t => {
  const { version } = JSON.parse(await readFile(inClone('package.json'), 'utf8')) as { version: string };
  t.equal(VERSION, version);
});

t.test(
  'one minor version apart works, in both directions; further apart is refused with what to do',
  async t => {
    for (const [a, b] of [
      ['0.3.0', '0.3.9'],
      ['0.3.0', '0.4.0'],
      ['2.0.1', '2.1.0-rc.1'],
    ] as const) {
      t.doesNotThrow(() => requireCompatible(a, b));
      t.doesNotThrow(() => requireCompatible(b, a));
    }
    for (const [older, newer] of [
      ['0.3.0', '0.5.0'],
      ['0.9.0', '1.0.0'],
      ['1.9.0', '2.8.0'],
    ] as const) {
      const refusal = { code: 'EPROTO', message: new RegExp(`bring the ${older}`) };
      t.throws(() => requireCompatible(older, newer), refusal);
      t.throws(() => requireCompatible(newer, older), refusal);
    }
    t.throws(() => requireCompatible('DROP TABLE', '0.3.0'), { code: 'EPROTO' });
  },
);

t.test('who names no version is of the first one', async t => {
  t.doesNotThrow(() => requireCompatible(undefined, '0.1.5'));
  t.doesNotThrow(() => requireCompatible(undefined, '0.2.0'));
  t.throws(() => requireCompatible(undefined, '0.3.0'), { code: 'EPROTO' });
});
