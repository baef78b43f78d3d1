/** Access: other users of the machine, keys of each role, and the power of a mount's files over the machine. */
import { chmod, copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import t from 'tap';
import { shell, startCluster } from '../support/cluster.js';
import { withOpenFuseDevice } from '../support/open-fuse-device.js';
import { inSharedClone } from '../support/programs.js';
import { untilLive } from '../support/repair-status.js';

const STRANGER = 65_534;
/** Without tap, which would fail there for want of permission before the program does. */
const AS_STRANGER = `setpriv --reuid=${STRANGER} --regid=${STRANGER} --clear-groups -- /usr/bin/env`;
const LONG = { timeout: 180_000 };

if (withOpenFuseDevice(fileURLToPath(import.meta.url))) defineTests();

function defineTests(): void {
  t.test('a user of this machine becomes root in his own name space, and gets nothing', LONG, async t => {
    const cluster = await startCluster(t, { dataNodes: 1, mounts: 1, goal: 1 });
    const [mount] = cluster.mounts;
    if (!mount) throw new Error('a mount was asked for');
    const { address } = cluster.metadata;
    const home = join(cluster.directory, 'home');
    const scratch = join(cluster.directory, 'scratch');
    await chmod(cluster.directory, 0o755);
    await mkdir(scratch);
    await chmod(scratch, 0o777);
    await shell(`mkdir -m 700 ${mount.mountPoint}/private
      (umask 077; echo secret > ${mount.mountPoint}/private/secret.txt)`);
    const [copy, ls, dfs] = ['copy', 'ls', 'dfs'].map(name => inSharedClone(`bin/${name}`));

    /** What the stranger is told; it must be a failure, and standard output empty. */
    const refused = async (command: string, env = ''): Promise<string> =>
      await shell(`
        ${AS_STRANGER} HOME=${scratch} ${env} unshare -r ${command} >${scratch}/out 2>${scratch}/said && exit 1
        [ ! -s ${scratch}/out ]
        cat ${scratch}/said`);

    const attempts = [
      `${copy} ${address}:/private/secret.txt -`,
      `${ls} ${address} /private`,
      `${dfs} node remove 1 --force ${address}`,
      `${dfs} dump ${address}`,
    ];
    for (const attempt of attempts) t.match(await refused(attempt), /there is no key/, attempt);
    const [first = ''] = attempts;
    t.match(
      await refused(first, `DFS_HOME=${home}`),
      /cannot read the key file .*home\/key/,
      "the cluster's key is not his",
    );
    const own = join(scratch, 'key');
    await shell(`${AS_STRANGER} sh -c 'umask 077; head -c 32 /dev/urandom | base64 > ${own}'`);
    t.match(await refused(first, `DFS_KEY_FILE=${own}`), /has another key/, 'nor is one that he makes');
    t.equal(await shell(`cat ${mount.mountPoint}/private/secret.txt`), 'secret', 'root goes on');

    await t.test('nothing that he could read or hold lies about', async t => {
      const { directory } = cluster;
      const open = await shell(
        `find ${home} ${directory}/metadata ${directory}/node1 -type f -perm /077 ! -path '*/log/*'`,
      );
      t.equal(open, '', 'every file of state is for its owner alone');
      for (const name of ['home', 'metadata', 'node1'])
        t.equal((await stat(join(directory, name))).mode & 0o777, 0o700, name);
    });
  });

  t.test(
    'programs with setuid and devices of a mount have no power, unless root asks for it',
    LONG,
    async t => {
      const cluster = await startCluster(t, { dataNodes: 1, goal: 1 });
      await chmod(cluster.directory, 0o755);
      const plain = await cluster.addMount();
      const native = await cluster.addMount(['--driver', 'fuse-native']);
      const powerful = await cluster.addMount(['--suid', '--dev']);
      const powerfulNative = await cluster.addMount(['--suid', '--dev', '--driver', 'fuse-native']);
      // By the client library, past every mount.
      const id = join(cluster.directory, 'id');
      await copyFile('/usr/bin/id', id);
      await chmod(id, 0o4755);
      const planted = await cluster.run('copy', ['-p', id, `${cluster.metadata.address}:/id`]);
      t.equal(planted.code, 0, planted.stderr);
      await shell(`mknod -m 666 ${plain.mountPoint}/zero c 1 5`);
      for (const { mountPoint, name } of [plain, native]) {
        t.equal(
          (await stat(join(mountPoint, 'id'))).mode & 0o7777,
          0o4755,
          `${name}: it is setuid and root's`,
        );
        t.equal(
          await shell(`${AS_STRANGER} ${mountPoint}/id -u`),
          String(STRANGER),
          `${name}: and runs as its user`,
        );
        await t.rejects(
          shell(`head -c 1 ${mountPoint}/zero`),
          /Permission denied/,
          `${name}: no device opens`,
        );
      }
      for (const { mountPoint, name } of [powerful, powerfulNative]) {
        t.equal(await shell(`${AS_STRANGER} ${mountPoint}/id -u`), '0', `${name}: as asked for`);
        t.equal(await shell(`head -c 3 ${mountPoint}/zero | wc -c`), '3', name);
      }
      const failure = await cluster.addMount(['--suid'], STRANGER).catch((error: unknown) => error);
      t.match(String(failure), /--suid and --dev are for root/);
    },
  );

  t.test("one role's key does what the role may, and says what it may not", LONG, async t => {
    const cluster = await startCluster(t, { dataNodes: 0 });
    const { address } = cluster.metadata;
    const keyOf = async (role: string): Promise<string> => {
      const path = join(cluster.directory, `${role}.key`);
      await shell(`"$DFS" key ${role} > ${path}`, {
        env: { ...cluster.environment, DFS: inSharedClone('bin/dfs') },
      });
      t.equal((await stat(path)).mode & 0o777, 0o600, `${role}.key is its owner's alone`);
      return path;
    };
    const [client, node, admin] = [await keyOf('client'), await keyOf('node'), await keyOf('admin')];
    t.match(await readFile(client, 'utf8'), /^dfs-client:[A-Za-z0-9+/]{43}=\n$/);
    await cluster.addNode(['--key-file', node]);
    await cluster.addNode(['--key-file', node]);
    await untilLive(cluster);

    const run = async (key: string, program: string, ...parameters: string[]) =>
      await cluster.run(program, [...parameters, '--key-file', key]);
    const done = async (key: string, program: string, ...parameters: string[]): Promise<string> => {
      const { code, stdout, stderr } = await run(key, program, ...parameters);
      t.equal(code, 0, `${program} ${parameters.join(' ')}: ${stderr}`);
      return stdout;
    };
    const source = inSharedClone('package.json');
    await done(client, 'copy', source, `${address}:/by-client`);
    t.equal(await done(client, 'copy', `${address}:/by-client`, '-'), await readFile(source, 'utf8'));
    await done(admin, 'copy', source, `${address}:/by-admin`);
    // By a path that is relative, which the mount's process leaves behind.
    const mount = await cluster.addMount(['--key-file', relative(process.cwd(), client)]);
    t.equal(await readFile(join(mount.mountPoint, 'by-admin'), 'utf8'), await readFile(source, 'utf8'));
    await mount.stop();
    for (const key of [client, admin]) t.match(await done(key, 'dfs', 'nodes', address), /live/);
    const refused = [
      ['node', 'drain', '1', address],
      ['rebalance', address],
      ['backup', 'now', address],
      ['fsck', address],
      ['dump', address],
    ];
    for (const parameters of refused) {
      const what = parameters.join(' ');
      const { code, stderr } = await run(client, 'dfs', ...parameters);
      t.equal(code, 1, what);
      t.match(stderr, /client\.key is a client's, and this needs an administrator's \(dfs key admin\)/, what);
    }
    await done(admin, 'dfs', 'node', 'undrain', '1', address);
    await done(admin, 'dfs', 'dump', address);
    for (const [key, program, parameters] of [
      [node, 'ls', [address]],
      [
        client,
        'data-node',
        ['127.0.0.1', '0', join(cluster.directory, 'not'), String(cluster.endpoint.port)],
      ],
      [client, 'dfs', ['key', 'admin']],
      [admin, 'meta-data', ['0', '--db', join(cluster.directory, 'metadata', 'dfs.db')]],
    ] as const) {
      const { code, stderr } = await run(key, program, ...parameters);
      t.equal(code, 1, `${program} with ${key}`);
      t.match(stderr, /(is|holds) .*(node's|client's|administrator's|one role)/, stderr);
    }
  });

  t.test(
    'a cluster is not opened without its key, nor with another one, and its key can be replaced',
    LONG,
    async t => {
      const cluster = await startCluster(t, { dataNodes: 1, mounts: 1, goal: 1 });
      const [mount] = cluster.mounts;
      const [node] = cluster.nodes;
      if (!mount || !node) throw new Error('a mount and a node were asked for');
      await shell(`echo kept > ${mount.mountPoint}/file && sync ${mount.mountPoint}/file`);
      await mount.stop();
      await cluster.metadata.stop();
      const database = join(cluster.directory, 'metadata', 'dfs.db');
      const kept = `${cluster.keyPath}.kept`;
      const fails = async (...options: string[]): Promise<string> => {
        const { code, stderr } = await cluster.run('meta-data', ['0', '--db', database, ...options], {
          timeoutMs: 30_000,
        });
        t.equal(code, 1);
        return stderr;
      };
      await rename(cluster.keyPath, kept);
      t.match(await fails(), /there is no key: .*home\/key/);
      await shell(`umask 077; head -c 32 /dev/urandom | base64 > ${cluster.keyPath}`);
      t.match(await fails(), /home\/key holds another key than this cluster's; .*--new-key/);
      await chmod(cluster.keyPath, 0o640);
      t.match(await fails(), /others could read the key/);
      await rm(cluster.keyPath);
      await rename(kept, cluster.keyPath);
      await cluster.metadata.start();
      await cluster.metadata.stop();

      // The key has leaked: a new one, and what had the old one is shut out until it has the new one.
      await rename(cluster.keyPath, kept);
      const { code, stderr } = await cluster.run('createdb', ['--db', `${database}.other`]);
      t.equal(code, 0, stderr);
      await cluster.metadata.start(['--new-key']);
      await cluster.metadata.restart();
      const old = await cluster.run('ls', [cluster.metadata.address, '--key-file', kept]);
      t.equal(old.code, 1);
      t.match(old.stderr, /has another key/);
      await node.restart();
      await untilLive(cluster);
      await mount.start();
      t.equal(await shell(`cat ${mount.mountPoint}/file && echo new > ${mount.mountPoint}/other`), 'kept');
    },
  );

  t.test('a cluster from before there were keys gets one at its next start, and says so', LONG, async t => {
    const cluster = await startCluster(t, { dataNodes: 0 });
    await cluster.metadata.stop();
    await rm(cluster.keyPath);
    const database = join(cluster.directory, 'metadata', 'dfs.db');
    const store = new Database(database);
    store.exec("DELETE FROM settings WHERE name = 'key-fingerprint'");
    store.close();
    const open = await cluster.run('meta-data', ['0', '--db', database, '--host', '0.0.0.0']);
    t.equal(open.code, 1);
    t.match(open.stderr, /can be reached by others: name the key that this cluster had/);
    await cluster.metadata.start();
    t.match(cluster.metadata.logTail(), /this cluster had no key and has one from now on, \S+home\/key/);
    t.equal((await stat(cluster.keyPath)).mode & 0o777, 0o600);
    t.equal((await cluster.run('ls', [cluster.metadata.address])).code, 0, 'commands find it');
    await cluster.metadata.stop();
    await writeFile(cluster.keyPath, 'quite another secret, of somebody');
    const other = await cluster.run('meta-data', ['0', '--db', database]);
    t.match(other.stderr, /holds another key/, 'from then on it is the key of the cluster');
  });
}
