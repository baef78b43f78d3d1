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

    const mountOn = async (machine: string): Promise<string> => {
      const mountPoint = join(fleet.directory, `mount-${machine}`);
      const options = ['--goal=1', '--timeout=3', '--log-level=info'];
      await start(fleet.process(machine, 'dfs', () => ['mount', server, mountPoint, ...options], mountPoint));
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
    const asUser = (command: string): string =>
      `setpriv --reuid 1234 --regid 1234 --clear-groups sh -c '${command}'`;
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

    for (const id of ['4', '1']) await atHead('export', 'remove', id);
    await waitUntil(async () => /rror|denied/.test(await told(`timeout 10 cat ${far}/root-only`)), {
      what: 'a machine without a rule reads nothing more',
    });
    const refused = await fleet.dfs('desk', ['ls', server]);
    t.match(refused.stderr, /client\/desk at 10\.\S+ may mount nothing.*dfs export add/);
    t.match(await shell(`ls ${own}`), /by-root/, 'others go on');
  },
);
