/** Another machine mounts what its export says, as who it says, and no longer than it says so. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { Fleet } from '../support/fleet.js';
import { shell } from '../support/programs.js';
import type { ServerProcess } from '../support/server-process.js';
import { waitUntil } from '../support/wait-until.js';

const isRoot = process.getuid?.() === 0;

t.test(
  'a machine may do on its mount what its export says',
  { skip: !isRoot && 'only root makes network namespaces' },
  async t => {
    const fleet = await Fleet.start(t);
    // Other users than root come to the mount by it.
    await chmod(fleet.directory, 0o755);
    const running: ServerProcess[] = [];
    t.teardown(async () => {
      for (const each of running.toReversed()) await each.kill9();
    });
    const start = async (each: ServerProcess): Promise<ServerProcess> => {
      running.push(each);
      await each.start();
      return each;
    };
    await fleet.done('head', ['createdb']);
    const listening = (port: number): string[] => [String(port), '--host', fleet.metadata];
    const head = await start(fleet.process('head', 'meta-data', listening, fleet.home('head')));
    fleet.metadataPort = head.endpoint.port;
    const { server } = fleet;
    const atHead = async (...parameters: string[]): Promise<string> =>
      await fleet.done('head', [...parameters, '--server', server]);
    const data = join(fleet.directory, 'data');
    const atNode = (): string[] => [
      fleet.metadata,
      '9000',
      data,
      String(fleet.metadataPort),
      '--host',
      fleet.metadata,
    ];
    await start(fleet.process('head', 'data-node', atNode, data));
    const token = await atHead('token', 'create', '--role', 'client');
    await fleet.done('desk', ['join', server, '--name', 'desk', '--token', token]);

    const mountOn = async (machine: string, name = machine, source = server): Promise<string> => {
      const mountPoint = join(fleet.directory, `mount-${machine}-${name}`);
      const options = ['--goal=1', '--timeout=3', '--log-level=info'];
      await start(fleet.process(machine, 'dfs', () => ['mount', source, mountPoint, ...options], mountPoint));
      t.teardown(async () => await shell(`umount -l ${mountPoint} 2>/dev/null || true`));
      return mountPoint;
    };
    const own = await mountOn('head');
    const far = await mountOn('desk');
    /** What the shell says, also when it fails. */
    const told = async (command: string): Promise<string> => await shell(`{ ${command}; } 2>&1 || true`);

    await shell(
      `cd ${own} && mkdir -m 777 shared && mkdir -m 700 closed && echo x > root-only && chmod 600 root-only`,
    );
    t.match(await told(`touch ${far}/new`), /Permission denied/, 'root of another machine is not root');
    t.match(await told(`cat ${far}/root-only`), /Permission denied/);
    t.match(await told(`ls ${far}/closed`), /Permission denied/);
    t.match(await told(`chmod 777 ${far}/root-only`), /not permitted/);
    await shell(
      `cp /etc/hostname ${far}/shared/hostname && mkdir ${far}/shared/d && echo a > ${far}/shared/d/f`,
    );
    t.equal(await shell(`stat -c %u:%g ${own}/shared/hostname ${own}/shared/d/f | sort -u`), '65534:65534');
    const asUser = (command: string, id = 1234): string =>
      `setpriv --reuid ${id} --regid ${id} --clear-groups sh -c '${command}'`;
    await shell(asUser(`cd ${far}/shared && umask 022 && mkdir u && echo mine > u/f && mv u/f u/g`));
    t.equal(await shell(`stat -c %u:%g ${own}/shared/u/g`), '1234:1234', 'its other users are who they are');

    const list = JSON.parse(await atHead('export', 'list', '--json')) as { id: number; to: string }[];
    t.same(
      list.map(({ to }) => to),
      ['*', 'role:admin'],
    );
    t.match(await atHead('export', 'add', '/', '--to', 'client/desk', '--no-root-squash'), /^export 3$/);
    await waitUntil(async () => (await told(`touch ${far}/by-root`)) === '', {
      what: 'root of the machine is root once a rule says so',
    });
    t.equal(await shell(`cat ${far}/root-only; stat -c %u ${far}/by-root`), 'x\n0');

    await atHead('export', 'remove', '3');
    await atHead('export', 'add', '/', '--to', 'client/desk', '--read-only', '--no-root-squash');
    await waitUntil(async () => /Read-only file system/.test(await told(`touch ${far}/by-root`)), {
      what: 'the mount can only be read once a rule says so',
    });
    t.equal(await shell(`cat ${far}/root-only`), 'x');
    t.match(await told(`echo y > ${far}/root-only`), /Read-only file system/);
    await writeFile(join(fleet.directory, 'file'), 'z');
    const copied = await fleet.dfs('desk', ['copy', join(fleet.directory, 'file'), `${server}:/copied`]);
    t.match(copied.stderr, /EROFS|reading only/);

    await shell(
      `cd ${own} && mkdir -p photos/2026 && echo in > photos/2026/in && echo out > out && chown -R 1234:1234 photos`,
    );
    const part = [
      'export',
      'add',
      '/photos',
      '--to',
      'client/desk',
      '--map-uid',
      '1000:1234',
      '--map-gid',
      '1000:1234',
    ];
    await atHead('export', 'remove', '4');
    await atHead(...part);
    await waitUntil(async () => /denied/.test(await told(`cat ${far}/root-only`)), {
      what: 'the mount of everything reaches nothing outside any more',
    });
    const photos = await mountOn('desk', 'photos', `${server}:/photos`);
    t.equal(await shell(`cd ${photos} && cat 2026/in && ls -a . && stat -c %i .`), 'in\n.\n..\n2026\n1');
    t.equal(
      await shell(`stat -c %u:%g ${photos} ${photos}/2026/in | sort -u`),
      '1000:1000',
      'users are mapped',
    );
    await shell(
      asUser(
        `cd ${photos}/2026 && echo new > new && mv new .. && ln in ../in && mkdir -p a/b && rm in`,
        1000,
      ),
    );
    t.equal(
      await shell(`cd ${own}/photos && cat new in && stat -c %u:%g new 2026/a/b | sort -u`),
      'new\nin\n1234:1234',
    );
    t.match(await told(asUser(`touch ${photos}/x`, 1001)), /denied/);
    t.match(await told(`chown 7 ${photos}/new`), /Invalid argument/);
    t.match(await shell(`findmnt -no SOURCE ${photos}`), /:\/photos$/);
    await shell(`cd ${own}/photos && mv 2026 renamed && echo more > renamed/more`);
    t.equal(await shell(`cat ${photos}/renamed/more`), 'more');
    t.equal(
      await shell(
        asUser(`cd ${photos} && echo far > far && cat ${own}/photos/far && ls .. > /dev/null`, 1000),
      ),
      'far',
    );
    t.match(await fleet.done('desk', ['ls', server, '/photos']), /photos\/new/);
    t.match((await fleet.dfs('desk', ['ls', server])).stderr, /may not do this with \//);
    const both = await mountOn('head', 'photos', `${server}:/photos/renamed`);
    t.equal(await shell(`cat ${both}/more`), 'more', 'who may mount everything may mount a part');

    const { id } = (JSON.parse(await atHead('export', 'list', '--json')) as { id: number }[]).at(-1) ?? {
      id: 0,
    };
    for (const each of [id, 1]) await atHead('export', 'remove', String(each));
    await waitUntil(async () => /rror|denied/.test(await told(`timeout 10 cat ${photos}/new`)), {
      what: 'a machine without a rule reads nothing more',
    });
    const refused = await fleet.dfs('desk', ['ls', server]);
    t.match(refused.stderr, /client\/desk at 10\.\S+ may mount nothing.*dfs export add/);
    t.match(await shell(`ls ${own}`), /by-root/, 'others go on');
  },
);
