/** A database and the key of its cluster. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { recordedFingerprint, settleClusterKey } from '../../../src/metadata/cluster-key.js';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { dumpDatabase } from '../../../src/metadata/dump/dump.js';
import { loadDatabase } from '../../../src/metadata/dump/load.js';
import { SqliteStore } from '../../../src/metadata/store/sqlite/sqlite-store.js';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import { Keyring } from '../../../src/rpc/keyring.js';
import { TEST_KEYS } from '../../support/test-keys.js';
import { LOG, temporaryDirectory } from './support/harness.js';
import { linesOf } from '../../support/dump-lines.js';

const OTHER_KEYS = Keyring.ofCluster(Buffer.alloc(32, 9), '/home/of/another/key');
const PLATFORM = { clock: systemClock, random: systemRandom };

async function newDatabase(t: Test, keyFingerprint?: string): Promise<string> {
  const path = join(await temporaryDirectory(t), 'metadata.db');
  await createDatabase(path, { ...PLATFORM, keyFingerprint });
  return path;
}

/** What a server does with the key when it starts; returns the key for grants afterwards. */
async function start(path: string, keys: Keyring, isNewKey = false): Promise<string> {
  const store = await SqliteStore.open(path, LOG);
  try {
    await settleClusterKey(store, { keys, isNewKey, random: systemRandom, log: LOG });
    return store.cluster.grantKey.toString('hex');
  } finally {
    await store.close();
  }
}

t.test('a database opens with its own key alone, and says which file held another one', async t => {
  const path = await newDatabase(t, TEST_KEYS.fingerprint);
  const grantKey = await start(path, TEST_KEYS);
  await t.rejects(start(path, OTHER_KEYS), {
    code: 'EACCES',
    message: /^\/home\/of\/another\/key holds another key than this cluster's; .*--key-file or DFS_KEY_FILE/,
  });
  t.equal(await start(path, TEST_KEYS), grantKey, 'nothing has changed');
});

t.test('a database from before there were keys takes the first one that it is opened with', async t => {
  const path = await newDatabase(t);
  t.equal(await recordedFingerprint(path), undefined);
  const grantKey = await start(path, TEST_KEYS);
  t.equal(await recordedFingerprint(path), TEST_KEYS.fingerprint);
  await t.rejects(start(path, OTHER_KEYS), { code: 'EACCES' });
  t.equal(await start(path, TEST_KEYS), grantKey);
});

t.test(
  'a new key takes the place of the old one when that is asked for, and signs no old grants',
  async t => {
    const path = await newDatabase(t, TEST_KEYS.fingerprint);
    const grantKey = await start(path, TEST_KEYS);
    t.not(
      await start(path, OTHER_KEYS, true),
      grantKey,
      'who knew the old key may have known the key of grants',
    );
    await t.rejects(start(path, TEST_KEYS), { code: 'EACCES' });
    const now = await start(path, OTHER_KEYS);
    t.equal(await start(path, OTHER_KEYS, true), now, 'asking twice changes nothing more');
  },
);

t.test("one role's key opens no database", async t => {
  const path = await newDatabase(t);
  const keys = Keyring.ofRole(TEST_KEYS.exportRole('admin'), 'admin.key');
  await t.rejects(start(path, keys ?? OTHER_KEYS), {
    code: 'EACCES',
    message: /admin\.key is that of one role/,
  });
  t.equal(await recordedFingerprint(path), undefined);
});

t.test('a database made of a dump without secrets asks for the same key', async t => {
  const path = await newDatabase(t, TEST_KEYS.fingerprint);
  let text = '';
  for await (const block of dumpDatabase(path, false)) text += block;
  const loaded = `${path}.loaded`;
  await loadDatabase(linesOf(text), loaded, systemRandom);
  await t.rejects(start(loaded, OTHER_KEYS), { code: 'EACCES' });
  await start(loaded, TEST_KEYS);
});
