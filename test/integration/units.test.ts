/** The systemd units (packaging/systemd): systemd takes them, and what they start serves as the user and with the file that they name. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { listenForDatagrams } from '../support/datagram-listener.js';
import { AS_OTHER_USER, OTHER_USER, whyNotOtherUser } from '../support/other-user.js';
import { environmentFor, inClone, inSharedClone, runFile } from '../support/programs.js';

const UNITS = inClone('packaging/systemd');
const INSTALLED = '/usr/bin/dfs';
const PORTS = { metadata: 18_431, node: 18_432, other: 18_433 };

async function newDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-units-'));
  await chmod(directory, 0o755);
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Each `Name=value` of a unit, the last of several. */
async function settings(unit: string): Promise<Map<string, string>> {
  const text = await readFile(join(UNITS, unit), 'utf8');
  return new Map([...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
}

t.test('systemd finds nothing wrong in any unit', async t => {
  const directory = await newDirectory(t);
  const units = await readdir(UNITS);
  t.ok(units.length > 3);
  for (const unit of units) {
    const text = await readFile(join(UNITS, unit), 'utf8');
    // It is not installed here.
    await writeFile(join(directory, unit), text.replace(`=${INSTALLED} `, `=${inClone('bin/dfs')} `));
  }
  const { code, stdout, stderr } = await runFile(
    'systemd-analyze',
    ['verify', '--man=no', '--recursive-errors=no', ...units.map(unit => join(directory, unit))],
    { env: { ...process.env, SYSTEMD_UNIT_PATH: `${directory}:` } },
  );
  t.equal(code, 0);
  t.equal(stdout + stderr, '');
});

t.test('servers are confined, come back, and outlive the mounts of this machine', async t => {
  for (const unit of await readdir(UNITS)) {
    if (!unit.endsWith('.service')) continue;
    const given = await settings(unit);
    const wanted = {
      Type: 'notify',
      User: 'dfs',
      Restart: 'on-failure',
      ProtectSystem: 'strict',
      NoNewPrivileges: 'yes',
      CapabilityBoundingSet: '',
      Before: 'remote-fs-pre.target',
    };
    for (const [name, value] of Object.entries(wanted)) t.equal(given.get(name), value, `${unit}: ${name}`);
  }
});

t.test('what each unit starts is ready as its user, and ends in good order', async t => {
  const reason = await whyNotOtherUser();
  if (reason !== undefined) {
    t.comment(reason);
    return;
  }
  const directory = await newDirectory(t);
  const home = join(directory, 'var');
  for (const name of ['var', 'srv', 'srv-b']) {
    await mkdir(join(directory, name));
    await chown(join(directory, name), OTHER_USER, OTHER_USER);
  }
  const database = join(home, 'metadata.db');
  const node = (port: number, path: string): string =>
    `server = "127.0.0.1:${PORTS.metadata}"\nport = ${port}\npath = "${join(directory, path)}"\n`;
  await writeFile(join(directory, 'metadata.toml'), `port = ${PORTS.metadata}\ndb = "${database}"\n`);
  await writeFile(join(directory, 'node.toml'), node(PORTS.node, 'srv'));
  await writeFile(join(directory, 'node-b.toml'), node(PORTS.other, 'srv-b'));
  const env = { ...environmentFor(home), NODE_OPTIONS: undefined };
  const asUser = ['--unset=NODE_OPTIONS', ...AS_OTHER_USER];
  const created = await runFile('env', [...asUser, inSharedClone('bin/dfs'), 'createdb', '--db', database], {
    env,
  });
  t.equal(created.code, 0, created.stderr);

  const running: (() => Promise<void>)[] = [];
  for (const unit of ['dfs-metadata.service', 'dfs-node.service', 'dfs-node@.service']) {
    const given = await settings(unit);
    const command = (given.get('ExecStart') ?? '').replaceAll('%i', 'b').replaceAll('/etc/dfs', directory);
    const [program = '', ...parameters] = command.split(' ');
    t.equal(program, INSTALLED);
    const socket = join(directory, `${unit}.socket`);
    const next = await listenForDatagrams(t, socket);
    const log: string[] = [];
    const server = spawn(
      'setpriv',
      ['--pdeathsig', 'TERM', 'env', ...asUser, inSharedClone('bin/dfs'), ...parameters],
      { env: { ...env, NOTIFY_SOCKET: socket }, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    server.stderr.on('data', (bytes: Buffer) => log.push(bytes.toString()));
    const ended = once(server, 'exit');
    void ended.then(([code]) => log.push(`ended with ${code}`));
    t.teardown(() => server.kill('SIGKILL'));
    running.push(async () => {
      server.kill('SIGTERM');
      t.equal(await next(), 'STOPPING=1', unit);
      t.strictSame(await ended, [0, null], `${unit}: ${log.join('')}`);
    });
    const told = await Promise.race([next(), ended.then(() => log.join(''))]);
    t.equal(told, 'READY=1', unit);
  }
  for (const stop of running.toReversed()) await stop();
});
