/** The network between any two machines is cut under load, silently. */
import t from 'tap';
import { Namespaces } from '../support/namespaces.js';
import { cuts, torment } from './torment.js';

t.test(
  'whoever cannot reach whom for a while, nothing that was acknowledged is lost',
  { skip: process.getuid?.() !== 0 && 'only root makes network namespaces', timeout: 280_000 },
  async t => {
    const network = await Namespaces.create(t);
    // The others take their time: npm run test:faults.
    const between = cuts(network).filter(({ name }) => name.includes('metadata and node1'));
    await torment(t, { seed: 1, torments: between, network });
  },
);
