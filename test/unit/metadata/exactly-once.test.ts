import t from 'tap';
import { batch } from '../../../src/metadata/operations/batch.js';
import { mkdir } from '../../../src/metadata/operations/mkdir.js';
import { put } from '../../../src/metadata/operations/put.js';
import { rename } from '../../../src/metadata/operations/rename.js';
import { unlink } from '../../../src/metadata/operations/unlink.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { refusal, startHarness } from './support/harness.js';

const bytes = (text: string): Buffer => Buffer.from(text);
const directory = (name: string) => ({
  parent: ROOT_INODE,
  name: bytes(name),
  uid: 0,
  gid: 0,
  mode: 0o755,
});

t.test('a repeated request gets the first answer, also after a restart, and changes nothing', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  await client.file('a');
  const once = client.next();
  const unlinkOnce = { ...client.next(), acknowledged: once.acknowledged };
  const first = await client.execute(mkdir, directory('d'), once);
  const removed = await client.execute(unlink, { parent: ROOT_INODE, name: bytes('a') }, unlinkOnce);
  t.same(await client.execute(mkdir, directory('d'), once), first);
  await harness.restart();
  t.equal((await client.begin()).resumed, true);
  t.same(await client.execute(mkdir, directory('d'), once), first);
  t.same(await client.execute(unlink, { parent: ROOT_INODE, name: bytes('a') }, unlinkOnce), removed);
  t.equal((await client.stat(ROOT_INODE)).nlink, 3);
});

t.test('a refusal is repeated as well, even when the request could be done by now', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  await client.file('d');
  const once = client.next();
  t.equal(await refusal(client.execute(mkdir, directory('d'), once)), 'EEXIST');
  await client.execute(
    unlink,
    { parent: ROOT_INODE, name: bytes('d') },
    {
      ...client.next(),
      acknowledged: once.sequence - 1,
    },
  );
  t.equal(await refusal(client.execute(mkdir, directory('d'), once)), 'EEXIST');
  await harness.restart();
  t.equal(await refusal(client.execute(mkdir, directory('d'), once)), 'EEXIST');
});

t.test('the same request twice at the same moment is executed once', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  await client.file('a');
  const once = client.next();
  const request = {
    parent: ROOT_INODE,
    name: bytes('a'),
    newParent: ROOT_INODE,
    newName: bytes('b'),
    flags: 0,
  };
  const [one, two] = await Promise.all([
    client.execute(rename, request, once),
    client.execute(rename, request, once),
  ]);
  t.same(one, two);
});

t.test('what was acknowledged is forgotten, and never executed again', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  for (let index = 0; index < 200; index += 1) await client.mkdir(`d${index}`);
  t.ok(harness.count('replies') <= 65, `${harness.count('replies')} replies are left`);
  const late = { session: client.id, sequence: 5, acknowledged: 4 };
  t.equal(await refusal(client.execute(mkdir, directory('late'), late)), 'EINVAL');
  await harness.restart();
  t.equal(await refusal(client.execute(mkdir, directory('late'), late)), 'EINVAL');
  t.equal(await refusal(client.lookup('late')), 'ENOENT');
});

t.test('what belongs behind a batch is done behind it, and not where that was refused in part', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const at = { sec: 1, nsec: 0 };
  const make = (name: string) => ({ command: mkdir.command.number, request: directory(name), at });
  const whole = client.next();
  const behind = client.next();
  t.equal(
    await refusal(client.execute(mkdir, directory('early'), { ...behind, afterBatch: whole.sequence })),
    'EAGAIN',
    'the batch has not come',
  );
  const [batched] = await Promise.all([
    client.execute(batch, { changes: [make('a')], reserve: 0 }, whole),
    client.execute(mkdir, directory('b'), { ...client.next(), afterBatch: whole.sequence }),
  ]);
  t.same(batched.refused, []);
  t.equal((await client.stat(ROOT_INODE)).nlink, 4);
  const torn = client.next();
  const { refused } = await client.execute(batch, { changes: [make('a'), make('c')], reserve: 0 }, torn);
  t.equal(refused.length, 1);
  const late = { ...client.next(), acknowledged: whole.sequence };
  const afterBatch = torn.sequence;
  t.equal(await refusal(client.execute(mkdir, directory('d'), { ...late, afterBatch })), 'EAGAIN');
  t.equal((await client.stat(ROOT_INODE)).nlink, 5, 'nothing was done');
  await client.execute(mkdir, directory('d'), late);
});

t.test('a session that nobody began may change nothing', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const strange = { session: client.id + 1, sequence: 1, acknowledged: 0 };
  t.equal(await refusal(client.execute(mkdir, directory('d'), strange)), 'ESTALE');
});

t.test('a repeated put after a restart has the file open again', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const once = client.next();
  const request = {
    ...directory('f'),
    exclusive: true,
    count: 0,
    goal: 1,
    maxBytes: 1,
    exclude: [],
  };
  const first = await client.execute(put, request, once);
  await harness.restart();
  await client.begin();
  t.same(await client.execute(put, request, once), first);
  await harness.pass(30_000);
  await client.execute(unlink, { parent: ROOT_INODE, name: bytes('f') });
  t.equal((await client.stat(first.attributes.inode)).nlink, 0, 'it lives on without a name');
});
