/** Who becomes a member, and who stops being one (metadata/operations/members.ts). */
import { X509Certificate } from 'node:crypto';
import t from 'tap';
import { CertificateAuthority } from '../../../src/identity/certificate-authority.js';
import { spkiOf } from '../../../src/identity/ed25519.js';
import { newKeyPair } from '../../../src/identity/identity.js';
import { memberOfCertificate, type CertifiedMember } from '../../../src/identity/member-certificate.js';
import { Revocations } from '../../../src/identity/revocations.js';
import { tokenProofKey } from '../../../src/identity/token-proof.js';
import {
  createToken,
  join,
  leave,
  listMembers,
  listTokens,
  removeMember,
  renewCertificate,
  revokeToken,
} from '../../../src/metadata/operations/members.js';
import type { Peer } from '../../../src/metadata/peer.js';
import type { Role } from '../../../src/protocol/roles.js';
import { startHarness, type Harness } from './support/harness.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const authority = new CertificateAuthority(Buffer.alloc(32, 1));
const publicKey = (): Buffer => spkiOf(newKeyPair().publicKey);

function joiner(role: Role, token?: Uint8Array): Peer {
  return { isClosed: false, member: { role: 'joiner', joins: { role, token } } };
}

/** The connection of a member with this certificate. */
function connected(certificate: CertifiedMember): Peer {
  return {
    isClosed: false,
    member: { role: certificate.role === 'metadata' ? 'admin' : certificate.role, certificate },
  };
}

function read(certificate: string): CertifiedMember {
  return memberOfCertificate(new X509Certificate(certificate), authority.publicKey);
}

async function start(t: Parameters<typeof startHarness>[0]) {
  const revocations = new Revocations();
  const harness = await startHarness(t, 'group', {
    authority,
    revocations,
    certificateLifetimeMs: 90 * DAY_MS,
  });
  const { service } = harness;
  const newToken = async (role: Role, isForOne = true) =>
    await service.execute(createToken, { role, lifetimeMs: HOUR_MS, isForOne });
  const joins = async (name: string, peer: Peer): Promise<CertifiedMember> =>
    read((await harness.service.execute(join, { name, publicKey: publicKey() }, peer)).certificate);
  return { harness, service, revocations, newToken, joins };
}

const names = async ({ service }: Harness): Promise<string[]> =>
  (await service.execute(listMembers, {})).members.map(({ role, name }) => `${role}/${name}`);

t.test('a token lets one join, as what it is for, and never again', async t => {
  const { harness, service, newToken, joins } = await start(t);
  const { id, secret, authority: told } = await newToken('node');
  t.same(Buffer.from(told), spkiOf(authority.publicKey));
  const known = await service.findToken(id);
  t.same(known?.secret, tokenProofKey(secret), 'the server knows what the holder proves');
  const member = await joins('store1', joiner('node', id));
  t.match(member, { role: 'node', name: 'store1', cluster: authority.cluster });
  t.same(await names(harness), ['node/store1']);
  t.equal(await service.findToken(id), undefined);
  await t.rejects(joins('store2', joiner('node', id)), { code: 'EACCES', message: /used/ });
  t.same(await names(harness), ['node/store1'], 'who was refused is no member');
});

t.test('a token for many serves many, until it expires or is revoked', async t => {
  const { harness, service, newToken, joins } = await start(t);
  const many = await newToken('client', false);
  await joins('a', joiner('client', many.id));
  await joins('b', joiner('client', many.id));
  const other = await newToken('client', false);
  t.same(
    (await service.execute(listTokens, {})).tokens.map(({ role, isForOne }) => [role, isForOne]),
    [
      ['client', false],
      ['client', false],
    ],
  );
  t.notMatch(JSON.stringify(await service.execute(listTokens, {})), /secret/);
  await service.execute(revokeToken, { id: other.id });
  await t.rejects(service.execute(revokeToken, { id: other.id }), { code: 'ENOENT' });
  await t.rejects(joins('c', joiner('client', other.id)), { code: 'EACCES' });
  harness.clock.advance(HOUR_MS);
  t.equal(await service.findToken(many.id), undefined);
  await t.rejects(joins('c', joiner('client', many.id)), { code: 'EACCES' });
  t.same((await service.execute(listTokens, {})).tokens, []);
  t.same(await names(harness), ['client/a', 'client/b']);
});

t.test('a name is there once for each role, and is a name', async t => {
  const { harness, joins } = await start(t);
  await joins('web', joiner('client'));
  await t.rejects(joins('web', joiner('client')), {
    code: 'EEXIST',
    message: /dfs member remove client\/web/,
  });
  await joins('web', joiner('node'));
  for (const name of ['a/b', '-a', 'a b', 'ä', ''])
    await t.rejects(joins(name, joiner('client')), { code: 'EINVAL' }, `'${name}'`);
  t.same(await names(harness), ['client/web', 'node/web']);
});

t.test('nobody joins who has not proved that he may', async t => {
  const { joins, service } = await start(t);
  await t.rejects(joins('x', { isClosed: false, member: { role: 'client' } }), { code: 'EACCES' });
  for (const wrong of [Buffer.alloc(44), publicKey().fill(0xff, 0, 12)])
    await t.rejects(service.execute(join, { name: 'x', publicKey: wrong }, joiner('client')), {
      code: 'EINVAL',
    });
});

t.test(
  'who is removed has no certificate that counts, the renewed ones included, and may join anew',
  async t => {
    const { harness, service, revocations, joins } = await start(t);
    const first = await joins('web', joiner('client'));
    const { certificate } = await service.execute(
      renewCertificate,
      { publicKey: publicKey() },
      connected(first),
    );
    const second = read(certificate);
    t.not(second.serial, first.serial);
    t.match(second, { role: 'client', name: 'web' });
    await service.execute(removeMember, { role: 'client', name: 'web' });
    await service.applyRevocations();
    t.ok(revocations.has(first.serial) && revocations.has(second.serial));
    t.same(await names(harness), []);
    await t.rejects(service.execute(renewCertificate, { publicKey: publicKey() }, connected(second)), {
      code: 'EACCES',
    });
    await t.rejects(service.execute(removeMember, { role: 'client', name: 'web' }), { code: 'ENOENT' });
    const third = await joins('web', joiner('client'));
    await service.applyRevocations();
    t.notOk(revocations.has(third.serial));
  },
);

t.test('who leaves is no member; a key has nothing to leave', async t => {
  const { harness, service, revocations, joins } = await start(t);
  const member = await joins('web', joiner('client'));
  await service.execute(leave, {}, connected(member));
  await service.applyRevocations();
  t.ok(revocations.has(member.serial));
  t.same(await names(harness), []);
  await t.rejects(service.execute(leave, {}, { isClosed: false, member: { role: 'client' } }), {
    code: 'EACCES',
  });
});

t.test('what was revoked stays so over a restart, and is forgotten when it would have expired', async t => {
  const { harness, revocations, joins } = await start(t);
  const member = await joins('web', joiner('client'));
  await harness.service.execute(removeMember, { role: 'client', name: 'web' });
  revocations.set([]);
  await harness.restart();
  t.same(revocations.serials, [member.serial]);
  harness.clock.advance(91 * DAY_MS);
  await joins('other', joiner('client'));
  await harness.service.applyRevocations();
  t.same(revocations.serials, []);
});

t.test('members are told what is revoked when they connect, and when it happens', async t => {
  const { service, joins } = await start(t);
  const [store, web, laptop] = [
    await joins('store', joiner('node')),
    await joins('web', joiner('client')),
    await joins('laptop', joiner('client')),
  ];
  const told: string[][] = [];
  const connection = (certificate: CertifiedMember, remoteHost: string) => ({
    ...connected(certificate),
    remoteHost,
    member: connected(certificate).member,
    onClose: () => undefined,
    keep: () => undefined,
    call: async (_command: unknown, { serials }: { readonly serials: string[] }) => {
      told.push(serials);
      return { reply: {}, payload: [] };
    },
  });
  service.connected(connection(store, '10.0.0.2') as never);
  t.same(told, [], 'nothing is revoked yet');
  await service.execute(removeMember, { role: 'client', name: 'web' });
  await service.applyRevocations();
  t.same(told, [[web.serial]]);
  service.connected(connection(laptop, '10.0.0.3') as never);
  t.same(told, [[web.serial], [web.serial]]);
  const { members } = await service.execute(listMembers, {});
  t.same(
    members.map(({ name, addresses }) => [name, addresses]),
    [
      ['laptop', ['10.0.0.3']],
      ['store', ['10.0.0.2']],
    ],
  );
});

t.test('a server without the cluster’s key issues nothing, and says so', async t => {
  const { service } = await startHarness(t);
  await t.rejects(service.execute(createToken, { role: 'client', lifetimeMs: HOUR_MS, isForOne: true }), {
    code: 'ENOSYS',
    message: /without the cluster's key/,
  });
});
