/** What dfs dump writes, dfs load reads: bytes, large numbers, and other versions. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { dumpDatabase } from '../../../src/metadata/dump/dump.js';
import { loadDatabase } from '../../../src/metadata/dump/load.js';
import { SqliteConnection } from '../../../src/metadata/store/sqlite/connection.js';
import { openDatabaseFile } from '../../../src/metadata/store/sqlite/database-file.js';
import { SCHEMA_VERSION } from '../../../src/metadata/store/sqlite/schema.js';
import { SqliteTransaction } from '../../../src/metadata/store/sqlite/sqlite-store.js';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import { temporaryDirectory } from './support/harness.js';
import { linesOf } from '../../support/dump-lines.js';

const SESSION_SECRET = Buffer.from('sixteen letters!');
const SIGNED_REPLY = Buffer.from('a reply with a signed grant');

async function dump(path: string, secrets = true): Promise<string> {
  let text = '';
  for await (const block of dumpDatabase(path, secrets)) text += block;
  return text;
}

function cellOf<Cell>(path: string, sql: string): Cell {
  const database = new Database(path, { readonly: true });
  try {
    // What the test asks for.
    return database.prepare(sql).pluck().get() as Cell;
  } finally {
    database.close();
  }
}

/** A database with every kind of row. */
async function fill(t: Test): Promise<string> {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'dfs.db');
  await createDatabase(path, { clock: systemClock, random: systemRandom });
  const database = openDatabaseFile(path);
  const tx = new SqliteTransaction(new SqliteConnection(database), () => undefined);
  tx.begin();
  const root = tx.inodes.get(1);
  if (!root) throw new Error('there is a root');
  const names = ['plain', 'Grüße 👋', '\u0001\n"\\', '\u202E'].map(name => Buffer.from(name));
  names.push(Buffer.from([0xff, 0xfe, 0x80]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.alloc(255, 0xc3));
  for (const [index, name] of names.entries()) {
    const inode = Number.MAX_SAFE_INTEGER - index;
    tx.inodes.insert({ ...root, inode, mtime: { sec: -5, nsec: 999_999_999 } });
    tx.dentries.insert(1, name, inode);
    tx.xattrs.put(inode, name, systemRandom.bytes(100));
    tx.symlinks.insert(inode, name);
    tx.extents.insert(inode, { offset: 0, length: 7, chunk: index + 1, chunkOffset: 0 });
    tx.chunks.insert({
      chunk: index + 1,
      length: 7,
      checksum: 0xffff_ffff,
      references: 1,
      goal: 2,
      nodes: [1, 0x6162_6364],
    });
  }
  tx.nodes.insert({
    node: 1,
    id: 'a',
    host: '::1',
    port: 1,
    domain: 'rack "1"',
    isDraining: true,
    member: 'store',
  });
  tx.sessions.insert({ session: 3, secret: SESSION_SECRET, client: 'c', acknowledged: 0, caches: true });
  tx.replies.insert(3, 1, SIGNED_REPLY);
  tx.commit();
  database.close();
  return path;
}

t.test('a second dump of what was loaded is the same, byte for byte', async t => {
  const path = await fill(t);
  const first = await dump(path);
  const copy = `${path}.copy`;
  const loaded = await loadDatabase(linesOf(first), copy, systemRandom);
  t.match(loaded, { unknownFields: 0, unknownRows: 0 });
  t.equal(await dump(copy), first);
  t.match(first, '"name":"Grüße 👋"', 'names can be read');
  t.notMatch(first, /[\u202E\uFFFD]/, 'what cannot be seen is escaped');
  await t.rejects(loadDatabase(linesOf(first), copy, systemRandom), { code: 'EEXIST' });
});

t.test('a dump has no secrets unless asked, and a database of it has a new key and no sessions', async t => {
  const path = await fill(t);
  const grantKey = (database: string): Buffer =>
    cellOf(database, `SELECT value FROM settings WHERE name = 'grant-key'`);
  const old = grantKey(path);
  const open = await dump(path, false);
  for (const secret of [old, SESSION_SECRET, SIGNED_REPLY]) {
    for (const encoding of ['latin1', 'utf8', 'base64', 'hex'] as const) {
      t.notOk(open.includes(secret.toString(encoding)), `not as ${encoding}`);
    }
  }
  t.match(open, '"secrets":false');
  t.ok((await dump(path)).includes(old.toString('base64')), 'with secrets it has the key');

  const copy = `${path}.copy`;
  t.match(await loadDatabase(linesOf(open), copy, systemRandom), { hasNewKey: true, unknownRows: 0 });
  t.equal(grantKey(copy).length, 32);
  t.notSame(grantKey(copy), old);
  t.equal(cellOf(copy, 'SELECT count(*) FROM sessions'), 0);
  t.equal(cellOf(copy, 'SELECT count(*) FROM replies'), 0);
  t.equal(await dump(copy, false), open, 'all else is there');

  const lines = (await dump(path)).split('\n');
  const keyless = lines.filter(line => !line.includes('"grant-key"')).join('\n');
  const fewer = keyless.replace(/"rows":(\d+)/, (_, rows) => `"rows":${Number(rows) - 1}`);
  const torn = loadDatabase(linesOf(fewer), `${path}.torn`, systemRandom);
  await t.rejects(torn, { code: 'EINVAL' }, 'a dump with secrets that lacks the key is not whole');
});

t.test('other versions', async t => {
  const path = await fill(t);
  const text = await dump(path);
  const newer = text
    .replace(`"schema":${SCHEMA_VERSION}`, `"schema":${SCHEMA_VERSION + 1}`)
    .replace('{"table":"nodes","row":{', '{"table":"nodes","row":{"colour":"red",')
    .replace(
      /\{"end":true,"rows":(\d+)\}/,
      (_, rows) => `{"table":"moods","row":{"mood":1}}\n{"end":true,"rows":${Number(rows) + 1}}`,
    );
  const fromNewer = `${path}.newer`;
  t.match(await loadDatabase(linesOf(newer), fromNewer, systemRandom), { unknownFields: 1, unknownRows: 1 });
  t.equal(await dump(fromNewer), text, 'what is known is all there');

  const old = `${path}.old`;
  const oldText = [
    '{"dfs":"metadata","version":1,"schema":1}',
    ...text.split('\n').filter(line => /"table":"(settings|inodes|counters)"/.test(line)),
    '{"table":"sessions","row":{"session":9,"secret":"s","client":"c","acknowledged":0}}',
  ];
  oldText.push(`{"end":true,"rows":${oldText.length - 1}}`);
  await loadDatabase(linesOf(oldText.join('\n')), old, systemRandom);
  const database = new Database(old, { readonly: true });
  t.equal(database.prepare('SELECT caches FROM sessions').pluck().get(), 0, 'migrations were run on it');
  t.equal(database.pragma('user_version', { simple: true }), SCHEMA_VERSION);
  database.close();
});

t.test('what is no whole dump makes no database', async t => {
  const path = await fill(t);
  const lines = (await dump(path)).trimEnd().split('\n');
  const broken: [string, string[]][] = [
    ['the end is missing', lines.slice(0, -1)],
    ['a line is missing', [...lines.slice(0, 5), ...lines.slice(6)]],
    ['the first line is missing', lines.slice(1)],
    ['a line is twice there', [...lines.slice(0, 5), ...lines.slice(4)]],
    ['not JSON', [...lines.slice(0, 5), '{', ...lines.slice(5)]],
    ['a number is text', lines.map(line => line.replace('"port":1', '"port":"x"'))],
    ['nothing', []],
  ];
  for (const [what, text] of broken) {
    await t.rejects(
      loadDatabase(linesOf(text.join('\n')), `${path}.broken`, systemRandom),
      { code: 'EINVAL' },
      what,
    );
    t.throws(() => openDatabaseFile(`${path}.broken`), 'there is none');
  }
});
