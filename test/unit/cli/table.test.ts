import t from 'tap';
import { takesColor } from '../../../src/cli/table.js';

t.test('colours are for terminals, and NO_COLOR and dumb ones forbid them', async t => {
  const { NO_COLOR, TERM } = process.env;
  t.teardown(() => {
    for (const [name, value] of Object.entries({ NO_COLOR, TERM })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  const answer = (noColor: string | undefined, term: string, isTTY: boolean): boolean => {
    if (noColor === undefined) delete process.env['NO_COLOR'];
    else process.env['NO_COLOR'] = noColor;
    process.env['TERM'] = term;
    return takesColor({ isTTY });
  };
  t.equal(answer(undefined, 'xterm', true), true);
  t.equal(answer(undefined, 'xterm', false), false);
  t.equal(answer('1', 'xterm', true), false);
  // https://no-color.org: "when present and not an empty string".
  t.equal(answer('', 'xterm', true), true);
  t.equal(answer(undefined, 'dumb', true), false);
});
