/** Three machines, of which two join the first one's cluster: encrypted connections, tokens, and a member that is removed. */
import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { Fleet } from '../support/fleet.js';
import { inClone, shell } from '../support/programs.js';
import type { ServerProcess } from '../support/server-process.js';
import { waitUntil } from '../support/wait-until.js';

const isRoot = process.getuid?.() === 0;
/** What is written, as it must not be seen on the way. */
const SECRET = 'Nobody between the machines reads this sentence. ';

t.test(
  'machines join, exchange nothing that others can read, and are removed',
  { skip: !isRoot && 'only root makes network namespaces' },
  async t => {
    const fleet = await Fleet.start(t);
    const running: ServerProcess[] = [];
    t.teardown(async () => {
      for (const each of running.toReversed()) await each.kill9();
    });
    await fleet.done('head', ['createdb']);
    const head = fleet.process(
      'head',
      'meta-data',
      port => [String(port), '--host', fleet.metadata],
      fleet.home('head'),
    );
    running.push(head);
    await head.start();
    fleet.metadataPort = head.endpoint.port;
    const { server } = fleet;
    const token = async (role: string): Promise<string> =>
      await fleet.done('head', ['token', 'create', '--role', role, '--server', server]);

    const stranger = await fleet.dfs('desk', ['nodes', server]);
    t.equal(stranger.code, 1);
    t.match(stranger.stderr, /there is no key.*dfs join/);

    const nodeToken = await token('node');
    await fleet.done('store', ['join', `dfs://${server}`, '--token', nodeToken]);
    const again = await fleet.dfs('desk', ['join', server, '--token', nodeToken, '--name', 'thief']);
    t.equal(again.code, 1);
    t.match(again.stderr, /token is not known/, 'a token for one is used up');
    const { host: storeHost, port: storePort } = { host: await fleet.network.addressOf('store'), port: 9000 };
    const data = join(fleet.directory, 'data');
    const store = fleet.process(
      'store',
      'data-node',
      () => [fleet.metadata, String(storePort), data, String(fleet.metadataPort), '--host', storeHost],
      data,
    );
    running.push(store);
    await store.start();

    await fleet.done('desk', ['join', server, '--name', 'desk'], { DFS_TOKEN: await token('client') });
    const allowed = ['export', 'add', '/', '--to', 'client/desk', '--no-root-squash'];
    await fleet.done('head', [...allowed, '--server', server]);
    const refused = await fleet.dfs('desk', ['token', 'list', '--server', server]);
    t.match(refused.stderr, /as client .*needs the role admin/, 'a client is no administrator');

    const sniffer = spawn(
      [...fleet.network.prefixOf('desk')][0] ?? '',
      [
        ...fleet.network.prefixOf('desk').slice(1),
        'python3',
        inClone('test/support/captured-bytes.py'),
        'eth0',
        Buffer.from(SECRET).toString('hex'),
        Buffer.from('a-telling-name').toString('hex'),
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    t.teardown(() => sniffer.kill('SIGKILL'));
    const lines = createInterface(sniffer.stdout)[Symbol.asyncIterator]();
    t.equal((await lines.next()).value, 'listening');
    const file = join(fleet.directory, 'plain.txt');
    await writeFile(file, SECRET.repeat(20_000));
    await fleet.done('desk', ['copy', file, `${server}:/a-telling-name`, '--goal', '1']);
    await fleet.done('desk', ['copy', `${server}:/a-telling-name`, join(fleet.directory, 'back.txt')]);
    sniffer.stdin.end();
    const [frames, matches] = String((await lines.next()).value)
      .split(' ')
      .map(Number);
    t.equal(await readFile(join(fleet.directory, 'back.txt'), 'utf8'), SECRET.repeat(20_000));
    t.ok((frames ?? 0) > 100, `${frames} frames were seen`);
    t.equal(matches, 0, 'none of them shows a byte or a name of a file');

    const mountPoint = join(fleet.directory, 'mount');
    const mount = fleet.process(
      'desk',
      'dfs',
      () => ['mount', server, mountPoint, '--goal=1', '--timeout=3', '--log-level=info'],
      mountPoint,
    );
    running.push(mount);
    await mount.start();
    t.teardown(async () => await shell(`umount -l ${mountPoint} 2>/dev/null || true`));
    t.equal(await shell(`timeout 20 head -c ${SECRET.length} ${mountPoint}/a-telling-name`), SECRET.trim());
    t.match(
      await fleet.done('head', ['member', 'list', '--server', server, '--json']),
      /"client\/desk"[^]*10\.213\.0\.3/,
    );
    await fleet.done('head', ['member', 'remove', 'client/desk', '--server', server]);
    await waitUntil(async () => (await shell(`timeout 20 touch ${mountPoint}/new 2>&1 || true`)) !== '', {
      what: 'the mount of a machine that was removed can do nothing',
    });
    const removed = await fleet.dfs('desk', ['ls', server]);
    t.equal(removed.code, 1);
    t.match(removed.stderr, /desk is not a member of this cluster any more/);
    t.match(await fleet.done('head', ['nodes', server]), /live/, 'the others go on');
  },
);
