/** A mount that is alone shows values that last: after the servers have them, and after a remount. */
import { execFile } from 'node:child_process';
import { chmod, link, lstat, mkdir, open, rename, rmdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { shell, startCluster } from '../support/cluster.js';

const run = promisify(execFile);
const SCRIPT = new URL('../../../test/support/kept-values.py', import.meta.url).pathname;
const OUTPUT = { maxBuffer: 64 << 20 };

interface Told {
  /** What was done → "done", or the name of the error. */
  readonly refused: Readonly<Record<string, string>>;
  /** Path, in hexadecimal → what stat(2) shows. */
  readonly there: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

async function ask(...parameters: readonly string[]): Promise<Told> {
  const { stdout } = await run('python3', [SCRIPT, ...parameters], OUTPUT);
  return JSON.parse(stdout) as Told;
}

/** What stat(2) shows that changes of themselves make. */
interface Times {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

async function timesOf(directory: string, names: Iterable<string>): Promise<Map<string, Times>> {
  const found = new Map<string, Times>();
  for (const name of names) {
    const { size, mtimeNs, ctimeNs } = await lstat(join(directory, name), { bigint: true });
    found.set(name, { size, mtimeNs, ctimeNs });
  }
  return found;
}

/** Everything that was done before is committed. */
async function synced(directory: string): Promise<void> {
  const handle = await open(directory);
  await handle.sync();
  await handle.close();
}

/** Does what gives times, each followed by a look at them; the last look at each name is in `shown`. */
async function changeThings(directory: string, shown: Map<string, Times>): Promise<void> {
  const at = (name: string): string => join(directory, name);
  const look = async (...names: readonly string[]): Promise<void> => {
    for (const [name, times] of await timesOf(directory, names)) shown.set(name, times);
  };
  for (let round = 0; round < 20; round += 1) {
    const file = `file${round}`;
    const made = `directory${round}`;
    await mkdir(at(made));
    await writeFile(at(file), 'written');
    await look(file);
    const handle = await open(at(file), 'a');
    await handle.write(' and appended');
    await look(file);
    if (round % 4 === 0) await handle.chmod(0o640);
    if (round % 4 === 1) await handle.utimes(4_000_000_000, 4_000_000_000);
    if (round % 4 === 2) await handle.utimes(-1, -1);
    if (round % 8 === 1) await handle.write(', later than in the year 2096');
    await handle.close();
    await look(file);
    shown.delete(file);
    if (round % 3 === 0) {
      await rename(at(file), at(`${made}/renamed`));
      await look(`${made}/renamed`);
    } else if (round % 3 === 1) {
      await link(at(file), at(`${made}/second`));
      await look(file, `${made}/second`);
    } else {
      await unlink(at(file));
    }
    await look(made, '.');
    await chmod(at(made), 0o700);
    await look(made);
    if (round % 3 !== 2) continue;
    await rmdir(at(made));
    shown.delete(made);
    await look('.');
  }
}

t.test('what is shown is what is kept', async t => {
  const cluster = await startCluster(t, { dataNodes: 1, mounts: 1, goal: 1 });
  const [mount] = cluster.mounts;
  if (!mount) throw new Error('a mount was asked for');
  const there = join(mount.mountPoint, 'values');
  const here = join(cluster.directory, 'values');
  await mkdir(there);
  await mkdir(here);

  await t.test(
    'every value at its border is taken and kept, or refused at once as a local disk does',
    async t => {
      const local = await ask('apply', here, '1');
      const shown = await ask('apply', there, '1');
      // A local file system has its own largest file and its own longest attribute.
      const ownLimits = /^(?:size|written at|attribute|mode 177777|mknod)/;
      const outcomes = Object.entries(shown.refused);
      const others = outcomes.filter(
        ([what, outcome]) => !ownLimits.test(what) && local.refused[what] !== outcome,
      );
      t.same(others, [], 'as a local disk');
      t.same(
        outcomes.filter(([, outcome]) => /EPROTO|EIO/.test(outcome)),
        [],
        'nothing is refused for how it is told to the server',
      );
      await synced(there);
      t.same(await ask('show', there), { ...shown, refused: {} }, 'the same after the servers have it');
    },
  );

  const times = join(mount.mountPoint, 'times');
  const shown = new Map<string, Times>();
  await t.test('a time that was shown is the time that is kept', async t => {
    await mkdir(times);
    await changeThings(times, shown);
    await synced(times);
    t.same(await timesOf(times, shown.keys()), shown, 'after the servers have it');
  });

  await t.test('git sees no change in what it has just checked out', async t => {
    const source = join(cluster.directory, 'source');
    await shell(`git init -q ${source} && cd ${source} && mkdir -p a/b &&
      for i in $(seq 200); do echo $i > a/b/$i; echo $i > $i; done &&
      git add . && git -c user.name=t -c user.email=t@t commit -q -m files`);
    for (let round = 0; round < 5; round += 1) {
      const clone = join(mount.mountPoint, `clone${round}`);
      await shell(`git clone -q ${source} ${clone}`);
      await synced(clone);
      t.equal(await shell(`git -C ${clone} diff-files`), '', 'nothing would have to be read again');
    }
  });

  await t.test('after a remount everything is as it was shown', async t => {
    const values = await ask('show', there);
    await mount.stop();
    const { mountPoint } = await cluster.addMount();
    t.same(await ask('show', join(mountPoint, 'values')), values);
    t.same(await timesOf(join(mountPoint, 'times'), shown.keys()), shown);
    t.equal(await shell(`git -C ${join(mountPoint, 'clone0')} diff-files | wc -l`), '0');
  });
});
