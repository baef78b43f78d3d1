/** What a program syncs again and again is there after kill -9 of its mount, and of the metadata server with it (docs/decisions/51). */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { startCluster, waitUntil } from '../support/cluster.js';
import { withOpenFuseDevice } from '../support/open-fuse-device.js';

const LONG = { timeout: 120_000 };
const REPLAYED = 'committed what a client had synced';
/** Overwrites a number in its place, appends it to another file, and says it when both are synced. */
const COUNTS = `
import os, sys
place = os.open(sys.argv[1] + '/place', os.O_RDWR | os.O_CREAT)
journal = os.open(sys.argv[1] + '/journal', os.O_RDWR | os.O_CREAT | os.O_APPEND)
number = 0
while True:
    number += 1
    os.pwrite(place, b'%08d' % number, 4096)
    os.fsync(place)
    os.write(journal, b'%08d' % number)
    os.fsync(journal)
    os.write(1, b'%08d' % number)
`;
const DIGITS = 8;
const ENOUGH = 300;

if (withOpenFuseDevice(fileURLToPath(import.meta.url))) {
  for (const isServerKilled of [false, true]) {
    const who = isServerKilled ? 'the mount and the metadata server' : 'the mount';
    t.test(`kill -9 of ${who} loses nothing that was synced`, LONG, async t => {
      const cluster = await startCluster(t, { dataNodes: 2, mounts: 2, goal: 2 });
      const [mount, other] = cluster.mounts;
      if (!mount || !other) throw new Error('two mounts were asked for');
      const program = spawn('python3', ['-c', COUNTS, mount.mountPoint], {
        stdio: ['ignore', 'pipe', 'ignore'],
        cwd: '/',
      });
      t.teardown(() => program.kill('SIGKILL'));
      let said = '';
      program.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
      await waitUntil(() => said.length > ENOUGH * DIGITS, {
        what: 'the program counts',
        deadlineMs: 60_000,
      });
      if (isServerKilled) await cluster.metadata.kill9();
      await mount.kill9();
      if (isServerKilled) await cluster.metadata.start();
      await waitUntil(() => program.exitCode !== null, {
        what: 'it was told of an error',
        deadlineMs: 30_000,
      });
      const last = Number(said.slice(-DIGITS));
      const place = await readFile(join(other.mountPoint, 'place'));
      const found = Number(place.toString('latin1', 4096));
      t.ok(found >= last && found <= last + 1, `${found} is in its place after ${last} was synced`);
      const journal = await readFile(join(other.mountPoint, 'journal'), 'latin1');
      const appended = journal.length / DIGITS;
      t.ok(appended >= last && appended <= last + 1, `${appended} are in the journal`);
      for (let number = 1; number <= last; number += 1)
        if (Number(journal.slice((number - 1) * DIGITS, number * DIGITS)) !== number)
          t.fail(`${number} is not where it was appended`);
      t.match(await readFile(cluster.metadata.logPath, 'utf8'), REPLAYED, 'data nodes were asked');
    });
  }
}
