/** Each kind of process is killed and stalled under load, and disks fail; `npm run test:faults` goes on for longer. */
import t from 'tap';
import { torment, TORMENTS } from './torment.js';

t.test(
  'whatever happens to one process or disk, nothing that was acknowledged is lost',
  { skip: process.getuid?.() !== 0 && 'only root mounts', timeout: 290_000 },
  async t => {
    await torment(t, { seed: 1, torments: TORMENTS });
  },
);
