import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openMailbox, sendDescriptor } from '../../../src/platform/descriptor-passing.js';

const directory = mkdtempSync(join(tmpdir(), 'dfs-descriptors-'));
t.teardown(() => rmSync(directory, { recursive: true }));

t.test(
  'a descriptor that is put into a mailbox is taken out as another number of the same open file',
  async t => {
    const path = join(directory, 'box');
    const file = join(directory, 'file');
    writeFileSync(file, 'content');
    const mailbox = openMailbox(path);
    t.equal(mailbox.take(), undefined, 'it is empty');
    const sent = openSync(file, 'r');
    sendDescriptor(path, sent);
    closeSync(sent);
    const taken = mailbox.take();
    t.type(taken, 'number');
    if (taken === undefined) return;
    t.equal(readFileSync(taken, 'utf8'), 'content');
    closeSync(taken);
    t.equal(mailbox.take(), undefined, 'it is empty again');
    mailbox.close();
    t.notOk(existsSync(path));
  },
);

t.test('what cannot be done is said by the name of the error', async t => {
  const path = join(directory, 'nothing');
  t.throws(() => sendDescriptor(path, 0), { code: 'ENOENT' });
  t.throws(() => openMailbox(join(directory, 'no', 'directory')), { code: 'ENOENT' });
  t.throws(() => sendDescriptor('x'.repeat(200), 0), { code: 'ENAMETOOLONG' });
  const mailbox = openMailbox(path);
  t.throws(() => openMailbox(path), { code: 'EADDRINUSE' });
  t.throws(() => sendDescriptor(path, 1_000_000), { code: 'EBADF' }, 'no such descriptor');
  mailbox.close();
});
