/** When the metadata server's disk is full, acknowledged changes are committed, and deleting makes room again. */
import { mkdir, open, readdir, readFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { hasCode } from '../../src/protocol/errors.js';
import { shell, startCluster, waitUntil } from '../support/cluster.js';

const DISK_MIB = 8;
const FILES = 6000;
/** Refusals after which the disk counts as full. */
const ENOUGH_REFUSALS = 20;
/** A symbolic link that leads so far fills the database quickly. */
const FAR = 'v'.repeat(4000);

/** What a program was told: file → its content, of those that are there. */
class Told {
  readonly content = new Map<string, string>();
  refusals = 0;
  readonly others: unknown[] = [];

  /** Does `work`; counts a refusal for want of room. Returns whether it was done. */
  async try(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (hasCode(error, 'ENOSPC')) this.refusals += 1;
      else this.others.push(error);
      return false;
    }
  }

  async differences(directory: string): Promise<string[]> {
    const there = new Set(await readdir(directory));
    const wrong: string[] = [];
    for (const [name, content] of this.content) {
      if (!there.delete(name)) wrong.push(`${name} is missing`);
      else if ((await readFile(join(directory, name), 'latin1')) !== content)
        wrong.push(`${name} is another`);
    }
    // What was refused may have been half done, as on any disk: made, and not written.
    for (const name of there) if (!name.startsWith('refused')) wrong.push(`${name} is there`);
    return wrong;
  }
}

/** Makes files until so many were refused; of some the name is changed, and some are removed. */
async function makeFiles(
  directory: string,
  told: Told,
  extra: (path: string) => Promise<void>,
): Promise<void> {
  const from = told.content.size + told.refusals;
  const until = told.refusals + ENOUGH_REFUSALS;
  for (let index = from; index < from + FILES && told.refusals < until; index += 1) {
    const name = `file${index}`;
    const content = `content of ${name}`;
    const path = join(directory, `refused-${name}`);
    const isMade = await told.try(async () => {
      const file = await open(path, 'w');
      try {
        await file.write(content);
        if (index % 16 === 0) await file.sync();
      } finally {
        await file.close();
      }
      await extra(path);
    });
    if (isMade && (await told.try(async () => await rename(path, join(directory, name))))) {
      told.content.set(name, content);
    }
    if (index % 7 !== 0) continue;
    const [oldest] = told.content.keys();
    if (oldest !== undefined && (await told.try(async () => await unlink(join(directory, oldest))))) {
      told.content.delete(oldest);
    }
  }
}

t.test('nothing that a program was told is lost when the metadata disk is full', async t => {
  const cluster = await startCluster(t, {
    dataNodes: 1,
    mounts: 1,
    goal: 1,
    prepareMetadata: async directory =>
      void (await shell(`mount -t tmpfs -o size=${DISK_MIB}m dfs-test ${directory}`)),
  });
  const [mount] = cluster.mounts;
  if (!mount) throw new Error('a mount was asked for');
  const directory = join(mount.mountPoint, 'files');
  const filler = join(cluster.directory, 'metadata', 'filler');
  await mkdir(directory);
  const told = new Told();
  const status = async (): Promise<string> =>
    (await cluster.run('dfs', ['status', cluster.metadata.address])).stdout;

  await t.test('somebody else fills it at once', async t => {
    let filling: Promise<unknown> | undefined;
    await makeFiles(directory, told, async () => {
      if (told.content.size === 200) filling ??= shell(`cat /dev/zero > ${filler} 2>/dev/null || true`);
    });
    await filling;
    t.ok(told.refusals >= ENOUGH_REFUSALS, `${told.content.size} files, then ${told.refusals} refusals`);
    t.same(told.others, [], 'nothing is refused for another reason');
    t.match(await status(), /disk is nearly full/, 'dfs status says so');
    t.same(await told.differences(directory), []);
  });

  await t.test('while it is full, things are read and deleted', async t => {
    const doomed = [...told.content.keys()].slice(0, 60);
    for (const name of doomed) {
      await unlink(join(directory, name));
      told.content.delete(name);
    }
    t.same(await told.differences(directory), []);
  });

  await t.test('with room again, everything works again', async t => {
    await rm(filler);
    await waitUntil(async () => !(await status()).includes('nearly full'), { what: 'there is room' });
    await writeFile(join(directory, 'again'), 'again');
    told.content.set('again', 'again');
    t.same(await told.differences(directory), []);
  });

  await t.test('the database fills it itself', async t => {
    told.refusals = 0;
    await makeFiles(directory, told, async path => {
      await Promise.all([1, 2, 3, 4].map(async each => await symlink(FAR, `${path}-link${each}`)));
    });
    t.ok(told.refusals >= ENOUGH_REFUSALS, `${told.content.size} files, then ${told.refusals} refusals`);
    t.same(await told.differences(directory), []);
    await shell(`rm -r ${directory}/file*; rm -rf ${directory}/refused*`);
    for (const name of told.content.keys()) if (name.startsWith('file')) told.content.delete(name);
    await waitUntil(async () => !(await status()).includes('nearly full'), { what: 'deleting made room' });
  });

  await t.test('after a remount everything is as it was told', async t => {
    await writeFile(join(directory, 'last'), 'last');
    told.content.set('last', 'last');
    await mount.stop();
    const { mountPoint } = await cluster.addMount();
    t.same(await told.differences(join(mountPoint, 'files')), []);
    t.notMatch(mount.logTail(), /told are done are not/);
  });
});
