/**
 * `npm run test:faults -- [--minutes M] [--seed S]`: does one thing after the other to real processes, disks, clocks and
 * networks, in an order that the seed gives, and compares everything after each. As root.
 */
import { parseArgs } from 'node:util';
import t from 'tap';
import { Namespaces } from '../support/namespaces.js';
import { SeededRandom } from '../simulation/world/seeded-random.js';
import { cuts, torment, TORMENTS, type Torment } from './torment.js';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string', default: '1' } },
});
const seed = Number(values.seed);
/** Bad disks and networks are tried one after the other, for half of the time each. */
const halfMs = Number(values.minutes) * 30_000;
const SPARE_MS = 300_000;
const options = { timeout: halfMs + SPARE_MS };

function* endless(torments: readonly Torment[]): Generator<Torment> {
  const random = new SeededRandom(seed);
  const untilMs = performance.now() + halfMs;
  while (performance.now() < untilMs) yield random.pick(torments);
}

t.test('processes, disks and clocks', options, async t => {
  await torment(t, { seed, torments: endless(TORMENTS) });
});

t.test('networks', options, async t => {
  const network = await Namespaces.create(t);
  await torment(t, { seed, torments: endless(cuts(network)), network });
});
