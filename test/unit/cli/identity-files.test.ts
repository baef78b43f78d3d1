/** Where identities are kept (cli/identity-files.ts). */
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { CertificateAuthority } from '../../../src/identity/certificate-authority.js';
import { selfIssued, type Identity } from '../../../src/identity/identity.js';
import {
  findIdentity,
  identityPath,
  saveIdentity,
  storedIdentities,
} from '../../../src/cli/identity-files.js';

const authority = new CertificateAuthority(Buffer.alloc(32, 1));

async function newHome(t: Test): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'dfs-home-'));
  const before = process.env['DFS_HOME'];
  process.env['DFS_HOME'] = home;
  t.teardown(async () => {
    if (before === undefined) delete process.env['DFS_HOME'];
    else process.env['DFS_HOME'] = before;
    await rm(home, { recursive: true, force: true });
  });
  return home;
}

async function newIdentity(role: 'client' | 'node', name: string): Promise<Identity> {
  return await selfIssued(authority, role, name, Date.now(), 86_400_000);
}

t.test('what is saved is found, is readable by its owner alone, and is replaced as a whole', async t => {
  const home = await newHome(t);
  t.equal(findIdentity(['client']), undefined);
  const path = identityPath('client');
  t.ok(path.startsWith(home));
  await saveIdentity(path, await newIdentity('client', 'first'));
  const second = await newIdentity('client', 'second');
  await saveIdentity(path, second);
  t.equal((await stat(path)).mode & 0o777, 0o600);
  t.same(await readdir(dirname(path)), ['client.pem'], 'and nothing else is left there');
  const found = findIdentity(['client', 'admin']);
  t.equal(found?.path, path);
  t.same(found?.identity.member, second.member);
  await saveIdentity(identityPath('node'), await newIdentity('node', 'store'));
  t.same(
    storedIdentities().map(({ identity }) => identity.member.name),
    ['second', 'store'],
  );
});

t.test('one that others could read, or that is damaged, is refused with what to do', async t => {
  await newHome(t);
  const path = identityPath('node');
  await saveIdentity(path, await newIdentity('node', 'store'));
  const text = await readFile(path, 'utf8');
  await chmod(path, 0o640);
  t.throws(() => findIdentity(['node']), { code: 'EACCES', message: /chmod 600/ });
  await chmod(path, 0o600);
  const parts = text.split(/(?=-----BEGIN)/);
  t.equal(parts.length, 3);
  for (const left of parts) {
    await writeFile(path, text.replace(left, ''));
    t.throws(() => findIdentity(['node']), { code: 'EINVAL', message: /dfs join/ });
  }
  const other = await newIdentity('node', 'other');
  await saveIdentity(path, other);
  const certificate = (await readFile(path, 'utf8')).split(/(?=-----BEGIN)/)[1] ?? '';
  await writeFile(path, text.replace(parts[1] ?? '', certificate));
  t.throws(() => findIdentity(['node']), { code: 'EINVAL', message: /belong together/ });
  await writeFile(path, text.replaceAll(/[A-Za-z0-9+/]{60}/g, 'A'.repeat(60)));
  t.throws(() => findIdentity(['node']), { code: 'EINVAL' });
});

t.test(
  'what root saves in the home of a service belongs to that service',
  { skip: process.getuid?.() === 0 ? false : 'only root gives files away' },
  async t => {
    const home = await newHome(t);
    await chown(home, 65_534, 65_534);
    const path = identityPath('node');
    await saveIdentity(path, await newIdentity('node', 'first'));
    for (const each of [dirname(path), path]) t.equal((await stat(each)).uid, 65_534, each);
    t.equal((await stat(path)).mode & 0o777, 0o600);
    const elsewhere = join(home, 'elsewhere');
    await mkdir(elsewhere);
    await rm(dirname(path), { recursive: true });
    await symlink(elsewhere, dirname(path));
    await t.rejects(saveIdentity(path, await newIdentity('node', 'second')), /cannot write the identity/);
    t.equal((await stat(elsewhere)).uid, 0, 'a symbolic link is not followed');
  },
);
