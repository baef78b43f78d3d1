import t from 'tap';
import type { Identities } from '../../../src/protocol/export-commands.js';
import {
  callerInCluster,
  claimedCaller,
  gidOnClient,
  givenInCluster,
  mayClaimUid,
  ownerInCluster,
  uidOnClient,
} from '../../../src/rules/export-identities.js';

const NOBODY = 65_534;
const PLAIN: Identities = { squash: 'none', anonUid: NOBODY, anonGid: NOBODY, uids: [], gids: [] };
const ROOT_SQUASHED: Identities = { ...PLAIN, squash: 'root' };
const ALL_SQUASHED: Identities = { ...PLAIN, squash: 'all', anonUid: 500, anonGid: 501 };
const MAPPED: Identities = {
  ...PLAIN,
  squash: 'root',
  uids: [
    { client: 1000, cluster: 2000, count: 10 },
    { client: 5, cluster: 0, count: 1 },
  ],
  gids: [{ client: 100, cluster: 300, count: 1 }],
};
const ROOT = { uid: 0, gid: 0, groups: [0, 4] };
const ANNA = { uid: 1001, gid: 100, groups: [100, 7] };

t.test('a client says of its users who they are in the cluster', async t => {
  t.same(callerInCluster(PLAIN, ROOT), ROOT);
  t.same(callerInCluster(ROOT_SQUASHED, ROOT), { uid: NOBODY, gid: NOBODY, groups: [4] });
  t.same(callerInCluster(ROOT_SQUASHED, ANNA), ANNA);
  t.same(callerInCluster(ALL_SQUASHED, ANNA), { uid: 500, gid: 501, groups: [] });
  t.same(callerInCluster(MAPPED, ANNA), { uid: 2001, gid: 300, groups: [300, NOBODY] });
  t.same(callerInCluster(MAPPED, ROOT), { uid: NOBODY, gid: NOBODY, groups: [NOBODY, NOBODY] });
  t.same(
    ownerInCluster(MAPPED, { uid: 5, gid: 100 }),
    { uid: NOBODY, gid: 300 },
    'nobody is root who is squashed',
  );
  t.same(ownerInCluster(MAPPED, { uid: 1010, gid: 0 }), { uid: NOBODY, gid: NOBODY }, 'the range ends');
});

t.test("a client's word counts as far as its rule goes", async t => {
  const claims: readonly (readonly [rights: Identities, uid: number, isTaken: boolean])[] = [
    [PLAIN, 0, true],
    [ROOT_SQUASHED, 0, false],
    [ROOT_SQUASHED, 1001, true],
    [ALL_SQUASHED, 1001, false],
    [ALL_SQUASHED, 500, true],
    [MAPPED, 2001, true],
    [MAPPED, 1001, false],
    [MAPPED, 0, false],
    [MAPPED, NOBODY, true],
  ];
  for (const [rights, uid, isTaken] of claims)
    t.equal(mayClaimUid(rights, uid), isTaken, `${rights.squash} ${uid}`);
  t.same(claimedCaller(ROOT_SQUASHED, { uid: 0, gid: 0, groups: [0, 5] }), {
    uid: NOBODY,
    gid: NOBODY,
    groups: [5],
  });
  t.same(claimedCaller(MAPPED, { uid: 1001, gid: 100, groups: [300, 100] }), {
    uid: NOBODY,
    gid: NOBODY,
    groups: [300],
  });
});

t.test('programs of the client see their own numbers', async t => {
  t.equal(uidOnClient(MAPPED, 2001), 1001);
  t.equal(uidOnClient(MAPPED, 77), NOBODY);
  t.equal(gidOnClient(MAPPED, 300), 100);
  t.equal(uidOnClient(ROOT_SQUASHED, 0), 0, 'what belongs to root is shown as root');
  t.same(givenInCluster(MAPPED, { uid: 1000, mode: 5 }), { uid: 2000, mode: 5 });
  t.throws(() => givenInCluster(MAPPED, { gid: 5 }), { code: 'EINVAL' });
});
