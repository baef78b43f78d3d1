/** The network between any two machines is cut under load, without either being told. */
import t from 'tap';
import { Namespaces } from '../support/namespaces.js';
import { cuts, torment } from './torment.js';

t.test(
  'whoever cannot reach whom for a while, nothing that was acknowledged is lost',
  { skip: process.getuid?.() !== 0 && 'only root makes network namespaces', timeout: 280_000 },
  async t => {
    const network = await Namespaces.create(t);
    // That of a client and the metadata server is in test/integration/coherence.test.ts.
    const between = cuts(network).filter(({ name }) => !name.includes('mount1'));
    await torment(t, { seed: 1, torments: between, network });
  },
);
