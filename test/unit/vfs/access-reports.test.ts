import t from 'tap';
import { createLogger } from '../../../src/platform/log.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { AccessRecorder, reportBy } from '../../../src/vfs/access-reports.js';
import { connectSession } from '../client/support/connected-session.js';
import { waitUntil } from '../../support/wait-until.js';
import { serve } from './support/connected-clients.js';

t.test('the server’s answer to a report is kept', async t => {
  const session = await connectSession(t, (await serve(t)).endpoint);
  await session.beginCaching();
  const before = await session.getattr(ROOT_INODE);
  const atime = session.serverClock.now();
  const report = reportBy(session);
  const [answered, ...others] = await report([
    { inode: ROOT_INODE, atime },
    { inode: 4711, atime },
  ]);
  t.same([answered?.inode, others], [ROOT_INODE, []], 'nothing of what is gone');
  t.notSame(answered?.atime, before.atime);
  t.same(session.attributes.get(ROOT_INODE), answered);
});

t.test('an access of an inode that nobody has open', async t => {
  const session = await connectSession(t, (await serve(t)).endpoint);
  await session.beginCaching();
  const accessed: Attributes[] = [];
  const recorder = new AccessRecorder({
    times: { accessed: attributes => void accessed.push(attributes) },
    session,
    present: attributes => ({ ...attributes, size: 4711 }),
    log: createLogger('test', 'silent'),
  });
  recorder.record(ROOT_INODE);
  t.same(accessed, [], 'its attributes are being asked for');
  await waitUntil(() => accessed.length > 0, { what: 'they are there' });
  recorder.record(ROOT_INODE);
  t.same(
    accessed.map(({ inode, size }) => [inode, size]),
    [
      [ROOT_INODE, 4711],
      [ROOT_INODE, 4711],
    ],
    'known ones at once; both as stat(2) shows them',
  );
});

t.test('an access of what is gone is not recorded, and fails nobody', async t => {
  const accessed: Attributes[] = [];
  const session = await connectSession(t, (await serve(t)).endpoint);
  const log = createLogger('test', 'silent');
  const reasons: string[] = [];
  log.debug = (fields: { reason: string }) => void reasons.push(fields.reason);
  const recorder = new AccessRecorder({
    times: { accessed: attributes => void accessed.push(attributes) },
    session: {
      attributes: session.attributes,
      getattr: async () => await Promise.reject(new DfsError('ENOENT', 'gone for a test')),
    },
    present: attributes => attributes,
    log,
  });
  recorder.record(4711);
  await waitUntil(() => reasons.length > 0, { what: 'it failed' });
  t.match(reasons, [/gone for a test/]);
  t.same(accessed, []);
});
