/**
 * What no other test does to one process or disk under load. `npm run test:faults` does the rest too, and goes on for as long
 * as it is told.
 */
import t from 'tap';
import { torment, TORMENTS } from './torment.js';

const WANTED = /fails|directory that is deleted|flip/;

t.test(
  'whatever happens to a disk, nothing that was acknowledged is lost',
  { skip: process.getuid?.() !== 0 && 'only root mounts', timeout: 290_000 },
  async t => {
    await torment(t, { seed: 1, torments: TORMENTS.filter(({ name }) => WANTED.test(name)) });
  },
);
