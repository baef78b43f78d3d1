/** No data node takes what is written: close and the end of the mount say so. */
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { hasCode } from '../../src/protocol/errors.js';
import { shell, startCluster, waitUntil } from '../support/cluster.js';

/** Shorter than the server takes to see that a node is gone. */
const TIMEOUT_S = 2;

t.test('cp fails when the only data node was never reached', async t => {
  const cluster = await startCluster(t, {
    dataNodes: 1,
    mounts: 1,
    goal: 1,
    mountOptions: [`--timeout=${TIMEOUT_S}`],
  });
  const [mount] = cluster.mounts;
  const [node] = cluster.nodes;
  if (!mount || !node) throw new Error('a mount and a node were asked for');
  const at = (name: string): string => join(mount.mountPoint, name);
  // Until it answers before it has asked, two changes of names are enough.
  await shell(`mkdir ${at('a')} && mkdir ${at('b')}`);
  await node.kill9();
  const outcome = await shell(`cp /etc/passwd ${at('copy')} 2>&1 || echo "exit code $?"`);
  t.match(outcome, /Input\/output error/);
  t.match(outcome, /exit code 1/);

  await t.test('once it is there, files are stored again', async t => {
    await node.start();
    await waitUntil(
      async () =>
        await writeFile(at('stored'), 'stored').then(
          () => true,
          error => !hasCode(error, 'EIO'),
        ),
      { what: 'a file is stored' },
    );
    t.equal((await stat(at('stored'))).size, 6);
  });

  await t.test('a mount that ends with bytes that are stored nowhere says so', async t => {
    await node.kill9();
    // Acknowledged, since a file was stored just now, or refused.
    await writeFile(at('doubtful'), 'doubtful').catch(() => undefined);
    await waitUntil(
      async () =>
        await writeFile(at('refused'), 'refused').then(
          () => false,
          error => hasCode(error, 'EIO'),
        ),
      { what: 'nothing more is acknowledged' },
    );
    t.not(await mount.stop(), 0, 'its exit code');
    t.match(mount.logTail(), /not everything that was written is stored/, 'and its log');
  });
});
