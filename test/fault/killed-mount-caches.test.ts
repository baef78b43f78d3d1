/** Others go on five seconds after a mount was killed, whatever it had cached, opened or locked. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { shell, startCluster } from '../support/cluster.js';
import { nextOutput } from '../support/next-output.js';
import { withOpenFuseDevice } from '../support/open-fuse-device.js';

if (withOpenFuseDevice(fileURLToPath(import.meta.url))) defineTests();

function defineTests(): void {
  t.test(
    'others wait five seconds for a mount that was killed, whatever it cached',
    { timeout: 120_000 },
    async t => {
      const cluster = await startCluster(t, { dataNodes: 1, mounts: 5 });
      const [first, ...killed] = cluster.mounts;
      const here = first?.mountPoint ?? '';
      await shell(
        `mkdir ${here}/d && for name in read stat open locked; do echo before > ${here}/d/$name; done`,
      );
      const [reader, looker, opener, locker] = killed.map(({ mountPoint }) => `${mountPoint}/d`);
      const holder = async (script: string): Promise<void> => {
        const child = spawn('bash', ['-c', `${script} && echo here && exec sleep 60`], {
          stdio: ['ignore', 'pipe', 'ignore'],
          cwd: '/',
        });
        t.teardown(() => child.kill('SIGKILL'));
        await nextOutput(child);
      };
      await holder(`exec 3<>${opener}/open`);
      await holder(`exec 3<>${locker}/locked && flock 3`);
      await shell(`cat ${reader}/read && stat ${looker}/stat && ls -l ${looker}`);
      await Promise.all(killed.map(async mount => await mount.kill9()));
      const beganMs = performance.now();
      const changes = {
        'write what it read': `echo after > ${here}/d/read`,
        'change attributes that it was told': `chmod 600 ${here}/d/stat`,
        'make a name in a directory that it listed': `echo new > ${here}/d/new`,
        'truncate, and remove, what it had open': `: > ${here}/d/open && rm ${here}/d/open`,
        'lock what it had locked': `flock ${here}/d/locked true`,
      };
      await Promise.all(
        Object.entries(changes).map(async ([what, script]) => {
          await shell(script);
          const tookMs = performance.now() - beganMs;
          t.ok(tookMs < 9000, `${what}: ${Math.round(tookMs)} ms`);
        }),
      );
    },
  );
}
