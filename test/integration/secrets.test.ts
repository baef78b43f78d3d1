/**
 * No secret is where others can see it: not in a log of level trace, an error, a dump, an argument or the environment of a running
 * process, nor in a file that others may read. Three machines, which join by tokens (SECURITY.md).
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { Fleet } from '../support/fleet.js';
import { shell } from '../support/programs.js';
import type { ServerProcess } from '../support/server-process.js';
import { waitUntil } from '../support/wait-until.js';

const isRoot = process.getuid?.() === 0;
const OTHERS = 0o077;
const TRACE = '--log-level=trace';

/** A secret, in the forms in which it might be written. */
interface Secret {
  readonly what: string;
  readonly forms: readonly Buffer[];
}

function secretBytes(what: string, bytes: Buffer): Secret {
  const asJson = [...bytes].join(',');
  const texts = [bytes.toString('hex'), bytes.toString('base64'), bytes.toString('base64url'), asJson];
  return { what, forms: [bytes, ...texts.map(text => Buffer.from(text.replace(/=+$/, '')))] };
}

function secretText(what: string, text: string): Secret {
  return { what, forms: [Buffer.from(text)] };
}

/** What of the secrets stands in these bytes. */
function foundIn(bytes: Buffer, secrets: readonly Secret[]): string[] {
  return secrets.filter(({ forms }) => forms.some(form => bytes.includes(form))).map(({ what }) => what);
}

/** Files below that hold secrets, and that others can get at. */
function openFiles(directory: string, secrets: readonly Secret[], isOpen = true): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap(entry => {
    const path = join(directory, entry.name);
    if (!entry.isFile() && !entry.isDirectory()) return [];
    const mayRead = isOpen && (statSync(path).mode & OTHERS) !== 0;
    if (entry.isDirectory()) return openFiles(path, secrets, mayRead);
    return mayRead ? foundIn(readFileSync(path), secrets).map(what => `${what} in ${path}`) : [];
  });
}

t.test(
  'no secret is told',
  { skip: !isRoot && 'only root makes network namespaces', timeout: 120_000 },
  async t => {
    const fleet = await Fleet.start(t);
    const running: ServerProcess[] = [];
    t.teardown(async () => {
      for (const each of running.toReversed()) await each.kill9();
    });
    const start = async (
      machine: string,
      program: string,
      directory: string,
      parameters: (port: number) => string[],
    ): Promise<ServerProcess> => {
      const started = fleet.process(machine, program, parameters, directory);
      running.push(started);
      await started.start();
      return started;
    };
    let said = '';
    const run = async (
      machine: string,
      parameters: readonly string[],
      more?: NodeJS.ProcessEnv,
    ): Promise<string> => {
      const { stdout, stderr } = await fleet.dfs(machine, parameters, { DFS_DEBUG: '1', ...more });
      said += stderr;
      return stdout.trim();
    };
    const home = fleet.home('head');
    await run('head', ['createdb']);
    const head = await start('head', 'meta-data', home, port => [
      String(port),
      '--host',
      fleet.metadata,
      TRACE,
    ]);
    fleet.metadataPort = head.endpoint.port;
    const { server } = fleet;
    const tokens: string[] = [];
    for (const role of ['node', 'client', 'client'])
      tokens.push(await run('head', ['token', 'create', '--role', role, '--server', server]));
    const [nodeToken = '', clientToken = '', spareToken = ''] = tokens;
    t.ok(spareToken.startsWith('dfs1-'), 'there are tokens');
    await run('store', ['join', server], { DFS_TOKEN: nodeToken });
    await run('desk', ['join', server, '--token', clientToken, '--name', 'desk']);
    await run('head', ['export', 'add', '/', '--to', 'client/desk', '--no-root-squash', '--server', server]);
    const data = join(fleet.directory, 'data');
    const storeHost = await fleet.network.addressOf('store');
    await start('store', 'data-node', data, () => [
      fleet.metadata,
      '9000',
      data,
      String(fleet.metadataPort),
      '--host',
      storeHost,
      TRACE,
    ]);
    const mountPoint = join(fleet.directory, 'mount');
    await start('desk', 'dfs', mountPoint, () => ['mount', server, mountPoint, '--goal=1', TRACE]);
    t.teardown(async () => await shell(`umount -l ${mountPoint} 2>/dev/null || true`));

    const file = join(fleet.directory, 'file');
    await writeFile(file, 'content '.repeat(100_000));
    await shell(`timeout 30 cp ${file} ${mountPoint}/copied && timeout 30 cmp ${file} ${mountPoint}/copied`);
    // What fails says why, and names no secret.
    await run('desk', ['join', server, '--token', nodeToken, '--name', 'thief']);
    await run('desk', ['join', server, '--token', `${spareToken.slice(0, -3)}xxx`]);
    await run('desk', ['token', 'list', '--server', server]);
    await run('head', ['token', 'list', '--server', server]);
    const status = await run('head', ['backup', 'now', '--server', server]);

    const database = new Database(join(home, 'metadata', 'dfs.db'), { readonly: true, fileMustExist: true });
    const grantKey = database
      .prepare<[], Buffer>(`SELECT value FROM settings WHERE name = 'grant-key'`)
      .pluck()
      .get();
    const sessions = database.prepare<[], Buffer>('SELECT secret FROM sessions').pluck().all();
    database.close();
    const key = readFileSync(join(home, 'key'), 'utf8').trim();
    const roleKeys = await Promise.all(
      ['client', 'node', 'admin'].map(async role => await run('head', ['key', role])),
    );
    const bodyOf = (pem: string): string => /PRIVATE KEY-----\n([^\n]+)/.exec(pem)?.[1] ?? '';
    const privateKeys = [
      bodyOf(readFileSync(join(fleet.home('store'), 'identity', 'node.pem'), 'utf8')),
      bodyOf(readFileSync(join(fleet.home('desk'), 'identity', 'client.pem'), 'utf8')),
    ];
    const secrets = [
      secretText('the cluster key', key),
      secretBytes('the cluster key', Buffer.from(key, 'base64')),
      ...roleKeys.map(text => secretText('a role key', text.slice(text.indexOf(':') + 1).slice(0, 40))),
      ...(grantKey ? [secretBytes('the grant key', grantKey)] : []),
      ...sessions.map(secret => secretBytes('the secret of a session', secret)),
      ...privateKeys.map(body => secretText('a private key', body)),
      // Of a token its secret begins behind the role and the id.
      ...tokens.map(token =>
        secretBytes('the secret of a token', Buffer.from(token.slice(5), 'base64url').subarray(9, 25)),
      ),
      ...tokens.map(token => secretText('a token', token)),
    ];
    t.ok(sessions.length > 0 && grantKey, 'there are sessions, and a grant key');
    t.ok(
      roleKeys.every(text => text.includes(':')) && privateKeys.every(body => body.length > 40),
      'all secrets are known',
    );

    for (const { pid, name } of running) {
      t.same(foundIn(readFileSync(`/proc/${pid}/cmdline`), secrets), [], `the arguments of ${name}`);
      t.same(foundIn(readFileSync(`/proc/${pid}/environ`), secrets), [], `the environment of ${name}`);
    }
    for (const { logPath, name } of running) {
      await waitUntil(() => statSync(logPath).size > 0, { what: `${name} logs` });
      t.same(foundIn(readFileSync(logPath), secrets), [], `the log of ${name}`);
    }
    t.same(foundIn(Buffer.from(said), secrets), [], 'errors and warnings');
    t.same(foundIn(Buffer.from(status), secrets), [], 'the state of backups');
    await running.at(-1)?.stop();
    await head.stop();
    const dump = await fleet.dfs('head', ['dump', '--db', join(home, 'metadata', 'dfs.db')]);
    t.equal(dump.code, 0, dump.stderr);
    t.same(foundIn(Buffer.from(dump.stdout), secrets), [], 'a dump');
    t.same(openFiles(fleet.directory, secrets), [], 'files that others can read');
  },
);
