/** Rules for exports in the database: those of a new cluster, of one from before there were any, and in dumps. */
import Database from 'better-sqlite3';
import t from 'tap';
import { dumpDatabase } from '../../../../src/metadata/dump/dump.js';
import { loadDatabase } from '../../../../src/metadata/dump/load.js';
import { addExport, listExports, removeExport } from '../../../../src/metadata/operations/exports.js';
import type { RequestOf } from '../../../../src/protocol/command.js';
import { systemRandom } from '../../../../src/platform/random.js';
import { linesOf } from '../../../support/dump-lines.js';
import { refusal, startHarness } from '../support/harness.js';

type NewRule = RequestOf<(typeof addExport)['command']>;
const RULE: NewRule = {
  path: [],
  target: 'client/laptop',
  readOnly: true,
  squash: 'all',
  anonUid: 500,
  anonGid: 501,
  uids: [
    { client: 1000, cluster: 2000, count: 1 },
    { client: 5, cluster: 7, count: 100 },
  ],
  gids: [],
};

/** The database as it was before there were exports. */
function forgetExports(path: string): void {
  const database = new Database(path);
  database.exec(
    "DROP TABLE exports; DROP TABLE intent_logs; DELETE FROM counters WHERE name = 'export'; PRAGMA user_version = 5;",
  );
  database.close();
}

t.test('a new cluster squashes root of clients, and one from before goes on as it did', async t => {
  const harness = await startHarness(t);
  const told = async () => (await harness.service.execute(listExports, {})).exports;
  t.match(await told(), [
    { id: 1, target: '*', squash: 'root', readOnly: false },
    { id: 2, target: 'role:admin', squash: 'none', readOnly: false },
  ]);
  await harness.stop();
  forgetExports(harness.path);
  await harness.start();
  t.match(await told(), [{ id: 1, target: '*', squash: 'none', root: 1, path: [] }]);
  t.equal((await told()).length, 1);
  t.equal((await harness.service.execute(addExport, RULE)).id, 2, 'numbers go on');
});

t.test('what a rule says is there after a restart, and in a dump', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const photos = await client.mkdir('photos');
  await client.mkdir('20\u00e9', photos.inode);
  const path = ['photos', '20\u00e9'].map(name => Buffer.from(name));
  const { id } = await client.ask(addExport, { ...RULE, path });
  const { exports } = await client.ask(listExports, {});
  t.match(exports.at(-1), { ...RULE, id, path });
  await harness.restart();
  t.same((await client.ask(listExports, {})).exports, exports);
  await harness.stop();
  let text = '';
  for await (const block of dumpDatabase(harness.path, false)) text += block;
  await loadDatabase(linesOf(text), `${harness.path}.loaded`, systemRandom);
  const read = (file: string): unknown[] => {
    const database = new Database(file, { readonly: true });
    const rows = database.prepare('SELECT * FROM exports').all();
    database.close();
    return rows;
  };
  t.same(read(`${harness.path}.loaded`), read(harness.path));
  await harness.start();
});

t.test('rules that cannot be are refused', async t => {
  const client = await (await startHarness(t)).client();
  await client.file('file');
  const add = async (more: Partial<NewRule>): Promise<string> =>
    await refusal(client.ask(addExport, { ...RULE, ...more }));
  t.equal(await add({ path: [Buffer.from('nothing')] }), 'ENOENT');
  t.equal(await add({ path: [Buffer.from('file')] }), 'ENOTDIR');
  t.equal(await add({ target: 'laptop' }), 'EINVAL');
  t.equal(await add({ target: '*' }), 'EEXIST');
  t.equal(await add({}), 'OK');
  t.equal(await add({}), 'EEXIST');
  await client.ask(removeExport, { id: 3 });
  t.equal(await refusal(client.ask(removeExport, { id: 3 })), 'ENOENT');
  t.equal(await add({}), 'OK');
});
