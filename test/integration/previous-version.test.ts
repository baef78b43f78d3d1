/**
 * docs/upgrade.md: the version before this one and this one work together in every pairing, and a cluster is brought from one to the
 * other machine by machine, while it is used.
 */
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { VERSION } from '../../src/protocol/version.js';
import { type Cluster, shell, startCluster } from '../support/cluster.js';
import { buildPreviousVersion, hasPreviousVersion, PREVIOUS } from '../support/previous-version.js';
import { inClone, runFile } from '../support/programs.js';
import type { MountProcess, ServerProcess } from '../support/cluster.js';

const LIMIT = { timeoutMs: 60_000 };

/** Each mount changes something, and both see all of it; then bytes that are read back from the nodes. */
async function workTogether(t: Test, round: string, mounts: readonly MountProcess[]): Promise<void> {
  const [first, second] = mounts;
  if (!first || !second) throw new Error('two mounts are needed');
  for (const [writer, reader] of [
    [first, second],
    [second, first],
  ] as const) {
    const name = `${round} by ${writer.name}`;
    await shell(
      `cd "$WRITER"; mkdir -p "$NAME"/a/b; seq 1 200000 > "$NAME"/numbers; echo first > "$NAME"/line; ln "$NAME"/line "$NAME"/a/link
       cat "$READER/$NAME"/line; echo second >> "$READER/$NAME"/line; mv "$READER/$NAME"/a/b "$READER/$NAME"/moved
       cmp <(seq 1 200000) "$READER/$NAME"/numbers
       test "$(cat "$NAME"/a/link)" = "$(printf 'first\\nsecond')"; test -d "$NAME"/moved; chmod 600 "$NAME"/line
       test "$(stat -c %a "$READER/$NAME"/a/link)" = 600; rm "$READER/$NAME"/line; test ! -e "$NAME"/line`,
      { ...LIMIT, env: { ...process.env, WRITER: writer.mountPoint, READER: reader.mountPoint, NAME: name } },
    );
    t.pass(`what ${writer.name} does, ${reader.name} sees (${round})`);
  }
}

/** Everything that the rounds before left is still there, on every mount. */
async function isAllThere(
  t: Test,
  rounds: readonly string[],
  mounts: readonly MountProcess[],
): Promise<void> {
  for (const mount of mounts) {
    for (const round of rounds) {
      for (const { name } of mounts) {
        await shell('cmp <(seq 1 200000) "$FILE"', {
          ...LIMIT,
          env: { ...process.env, FILE: join(mount.mountPoint, `${round} by ${name}`, 'numbers') },
        });
      }
    }
  }
  t.pass(`after ${rounds.at(-1) ?? ''} every byte of the rounds before is there`);
}

const isPossible = process.getuid?.() === 0 && (await hasPreviousVersion());

t.test(
  `a cluster of ${PREVIOUS.version} becomes one of ${VERSION}, part by part`,
  { skip: !isPossible && 'needs root and the history of this clone' },
  async t => {
    const installation = await buildPreviousVersion();
    t.teardown(async () => await rm(dirname(installation), { recursive: true, force: true }));
    const { stdout } = await runFile(join(installation, 'bin/dfs'), ['--version']);
    t.equal(stdout.trim(), PREVIOUS.version);

    const previous = new Set(['metadata', 'node1', 'mount1']);
    const cluster = await startCluster(t, {
      dataNodes: 2,
      mounts: 2,
      goal: 2,
      installationOf: name => (previous.has(name) ? installation : undefined),
    });
    const [oldMount] = cluster.mounts;
    const [firstNode] = cluster.nodes;
    if (!oldMount || !firstNode) throw new Error('nothing was started');
    const rounds: string[] = [];
    const round = async (name: string): Promise<void> => {
      await workTogether(t, name, cluster.mounts);
      rounds.push(name);
      await isAllThere(t, rounds, cluster.mounts);
    };
    /** Stops a part and starts it in this version; a file that is open on both mounts meanwhile goes on. */
    const upgrade = async (part: ServerProcess): Promise<void> => {
      const files = await Promise.all(
        cluster.mounts.map(
          async mount => await open(join(mount.mountPoint, `open during ${part.name} by ${mount.name}`), 'w'),
        ),
      );
      await Promise.all(files.map(async file => await file.write('before ')));
      previous.delete(part.name);
      await part.restart();
      for (const file of files) {
        await file.write('after');
        await file.sync();
        await file.close();
      }
      for (const { mountPoint } of cluster.mounts)
        for (const { name } of cluster.mounts)
          t.equal(
            await readFile(join(mountPoint, `open during ${part.name} by ${name}`), 'utf8'),
            'before after',
          );
    };

    await round('a server and a node of before, one of each mount');
    const part = await cluster.run('dfs', [
      'mount',
      `${cluster.metadata.address}:/photos`,
      join(cluster.directory, 'part'),
    ]);
    t.equal(part.code, 1);
    t.match(
      part.stderr,
      /of a version that cannot mount a directory alone/,
      'rather than everything in its place',
    );
    await upgrade(cluster.metadata);
    await round('the server is new');
    await upgrade(firstNode);
    await round('both nodes are new');
    await oldMount.stop();
    previous.delete('mount1');
    await oldMount.start();
    await round('all is new');
    await isGoneForGood(t, cluster, installation);
  },
);

/** Formats go one way: the version before refuses the database, with a sentence, or finds it as it was. */
async function isGoneForGood(t: Test, cluster: Cluster, installation: string): Promise<void> {
  await cluster.metadata.stop();
  const copy = join(cluster.directory, 'copy');
  await mkdir(copy);
  await shell('cp "$FROM"/dfs.db* "$TO"', {
    env: { ...process.env, FROM: cluster.metadata.directory, TO: copy },
  });
  const { code, stdout, stderr } = await runFile(
    join(installation, 'bin/dfs'),
    ['dump', '--db', join(copy, 'dfs.db')],
    { ...LIMIT, env: cluster.environment },
  );
  if (code === 0) t.match(stdout, /numbers/, 'the form of the database is the same');
  else t.match(stderr, /newer/, 'a database of a newer form is refused');
  const dump = await runFile(inClone('bin/dfs'), ['dump', '--db', join(copy, 'dfs.db')], {
    ...LIMIT,
    env: cluster.environment,
  });
  t.equal(dump.code, 0, dump.stderr);
}
