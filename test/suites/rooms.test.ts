/** Every room with unit tests has a suite here, so that none is left out of a run; but for those that .taprc names. */
import { readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import t from 'tap';
import { inClone } from '../support/programs.js';
import { unitTestRooms } from '../support/unit-suite.js';

/** Its tests start themselves again in a namespace, by the path of the program. */
const NAMED_IN_TAPRC = ['fuse'];

t.test('no unit tests are left out', async t => {
  const suites = (await readdir(inClone('build/test/suites')))
    .filter(name => name.endsWith('.test.js'))
    .map(name => basename(name, '.test.js'));
  t.strictSame(
    [...suites.filter(name => name !== 'rooms'), ...NAMED_IN_TAPRC].sort(),
    (await unitTestRooms()).sort(),
  );
});
