/**
 * Real programs on a real mount, undisturbed and with something killed in the middle (`npm run test:programs`, some
 * twenty minutes). Whatever is killed, each ends: without a mistake where servers come back, with an error where its mount went.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { inClone } from '../support/programs.js';
import { shell, startCluster, type Cluster, type MountProcess } from '../support/cluster.js';

const PROGRAMS = ['git', 'npm', 'sqlite', 'postgres', 'rsync', 'tar'];
/** When something is killed: in the middle of what each does. */
const FAULT_AFTER_MS: Readonly<Record<string, number>> = { git: 2000, sqlite: 2000, tar: 2000 };
const DEFAULT_FAULT_AFTER_MS = 4000;
/** How long a server is away. */
const OUTAGE_MS = 5000;
const PROGRAM_TIMEOUT_S = 300;
/** timeout(1) had to kill it, which means that it hung. */
const TIMED_OUT = new Set([124, 137]);
const LONG = { timeout: 3_600_000 };

interface Fault {
  readonly what: string;
  /** What works on the mount must fail, for the mount is gone. */
  readonly isFatal: boolean;
  readonly strike: (cluster: Cluster, mount: MountProcess) => Promise<void>;
}

const FAULTS: readonly Fault[] = [
  {
    what: 'umount -f',
    isFatal: true,
    strike: async (_, { mountPoint }) => {
      await shell(`umount -f ${mountPoint} || umount -l ${mountPoint}`, { timeoutMs: 20_000 });
    },
  },
  {
    what: 'kill -9 of the mount daemon',
    isFatal: true,
    strike: async (_, mount) => await mount.kill9(),
  },
  {
    what: 'kill -9 of the metadata server',
    isFatal: false,
    strike: async ({ metadata }) => {
      await metadata.kill9();
      await pause(OUTAGE_MS);
      await metadata.restart();
    },
  },
  {
    what: 'kill -9 of a data node',
    isFatal: false,
    strike: async ({ nodes: [node] }) => {
      if (!node) throw new Error('data nodes were asked for');
      await node.kill9();
      await pause(OUTAGE_MS);
      await node.restart();
    },
  },
];

async function begin(t: Test): Promise<{ cluster: Cluster; mount: MountProcess }> {
  const cluster = await startCluster(t, { dataNodes: 3, mounts: 1, goal: 2 });
  const [mount] = cluster.mounts;
  if (!mount) throw new Error('a mount was asked for');
  // PostgreSQL does not run as root.
  await chmod(cluster.directory, 0o755);
  return { cluster, mount };
}

/** The outage is part of the fault, not a wait for something. */
async function pause(ms: number): Promise<void> {
  await new Promise(resolve => {
    setTimeout(resolve, ms);
  });
}

/** Starts a program in a new directory of the mount; resolves to its exit code and the end of what it said. */
function start(
  cluster: Cluster,
  program: string,
  directory: string,
): Promise<{ code: number; said: string }> {
  const run = async (): Promise<{ code: number; said: string }> => {
    const logPath = join(cluster.directory, 'log', `program-${Date.now()}.log`);
    const log = await open(logPath, 'w');
    const parameters = ['-k', '5', String(PROGRAM_TIMEOUT_S), inClone('test/programs/programs.sh')];
    const child = spawn('timeout', [...parameters, program, directory, inClone('.')], {
      cwd: '/',
      stdio: ['ignore', log.fd, log.fd],
    });
    await once(child, 'exit');
    await log.close();
    const said = (await readFile(logPath, 'utf8')).split('\n').slice(-12).join('\n');
    return { code: child.exitCode ?? -1, said };
  };
  return run();
}

t.test('real programs work as on a local disk', LONG, async t => {
  const { cluster, mount } = await begin(t);
  for (const program of PROGRAMS) {
    const { code, said } = await start(cluster, program, join(mount.mountPoint, program));
    t.equal(code, 0, `${program}\n${code === 0 ? '' : said}`);
  }
});

for (const { what, isFatal, strike } of FAULTS) {
  t.test(`${what} in the middle: ${isFatal ? 'an error' : 'a pause'}, never a hang`, LONG, async t => {
    for (const program of PROGRAMS) {
      await t.test(program, LONG, async t => {
        const { cluster, mount } = await begin(t);
        const running = start(cluster, program, join(mount.mountPoint, program));
        await pause(FAULT_AFTER_MS[program] ?? DEFAULT_FAULT_AFTER_MS);
        await strike(cluster, mount);
        const { code, said } = await running;
        t.notOk(TIMED_OUT.has(code), `it ended, with ${code}\n${said}`);
        if (isFatal) t.not(code, 0, 'it was told that its files are gone');
        else t.equal(code, 0, 'it did not notice');
        if (program === 'postgres') await endPostgres(mount.mountPoint);
      });
    }
  });
}

/** PostgreSQL's processes outlive the script when their directory is gone; those of this mount are ended. */
async function endPostgres(mountPoint: string): Promise<void> {
  await shell(`
    for process in $(pgrep -u postgres || true); do
      tr '\\0' '\\n' 2>/dev/null </proc/$process/cmdline | grep -qF "${mountPoint}" && kill -9 $process || true
    done`);
}
