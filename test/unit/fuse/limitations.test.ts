import { readFile } from 'node:fs/promises';
import t from 'tap';
import { NATIVE_LIMITATIONS } from '../../../src/fuse/native/limitations.js';

t.test('the README says of fuse-native what the program knows of it, a line each', async t => {
  const readme = await readFile(new URL('../../../../README.md', import.meta.url), 'utf8');
  for (const { sentence } of NATIVE_LIMITATIONS) t.ok(readme.includes(`- ${sentence}\n`), sentence);
});
