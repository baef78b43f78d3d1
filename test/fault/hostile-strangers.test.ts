/**
 * Somebody without a key sends what they like to a data node and to a metadata server: neither memory nor the time of an
 * honest client's answers goes with it (#17.5, #17.7).
 */
import t from 'tap';
import { startCluster } from '../support/cluster.js';
import { largeHellos, recordDefinitions } from '../support/hostile/attacks.js';
import { measureAttack } from '../support/hostile/measured-attack.js';

const MIB = 1 << 20;
const MAX_GROWTH_MIB = 100;
const MAX_ANSWER_MS = 3000;

t.test('strangers leave no memory behind and hold nobody up', { timeout: 120_000 }, async t => {
  const cluster = await startCluster(t, { dataNodes: 1 });
  for (const server of [cluster.metadata, ...cluster.nodes]) {
    const definitions = await measureAttack(t, server, 'record definitions', cluster.keyPath, async () => {
      await recordDefinitions(server.endpoint, 60, 2 * MIB);
    });
    t.ok(definitions.peakMib - definitions.beforeMib < MAX_GROWTH_MIB, `grew to ${definitions.peakMib} MiB`);
    const hellos = await measureAttack(t, server, 'large hellos', cluster.keyPath, async () => {
      await largeHellos(server.endpoint, 10, 4 * MIB);
    });
    t.ok(hellos.peakMib - hellos.beforeMib < MAX_GROWTH_MIB, `grew to ${hellos.peakMib} MiB`);
    t.ok(hellos.maxMs < MAX_ANSWER_MS, `an answer took ${hellos.maxMs.toFixed(1)} ms`);
  }
});
