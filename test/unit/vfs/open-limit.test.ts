/** What happens when a client has as many files open as it may. */
import { constants } from 'node:fs';
import t from 'tap';
import { tcpNetwork } from '../../../src/platform/network.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { waitUntil } from '../../support/wait-until.js';
import { refusal } from '../metadata/support/harness.js';
import { connect, serve } from './support/connected-clients.js';

const OWNER = { mode: 0o644, uid: 0, gid: 0 };
const name = (text: string): Buffer => Buffer.from(text);

t.test('a file that cannot be opened for want of room is not made', async t => {
  const server = await serve(t);
  const vfs = await connect(t, server, tcpNetwork, { limits: { maxOpenInodes: 1 } });
  const { handle } = await vfs.create(ROOT_INODE, name('a'), OWNER, true, constants.O_RDWR);
  t.equal(await refusal(vfs.create(ROOT_INODE, name('b'), OWNER, true, constants.O_RDWR)), 'ENFILE');
  t.equal(await refusal(vfs.tmpfile(ROOT_INODE, OWNER, constants.O_RDWR)), 'ENFILE');
  t.equal(await refusal(vfs.lookup(ROOT_INODE, name('b'))), 'ENOENT');
  await vfs.release(handle);
  await vfs.create(ROOT_INODE, name('b'), OWNER, true, constants.O_RDWR);
});

t.test('what the server opened for a request that then found no room is closed there', async t => {
  const server = await serve(t);
  const vfs = await connect(t, server, tcpNetwork, { limits: { maxOpenInodes: 1 } });
  const other = await connect(t, server);
  // Both find room for one, and the server opens both.
  const outcomes = await Promise.all(
    ['a', 'b'].map(async each => {
      const made = vfs.create(ROOT_INODE, name(each), OWNER, true, constants.O_RDWR);
      return {
        each,
        reason: await made.then(
          () => undefined,
          (error: unknown) => error,
        ),
      };
    }),
  );
  const refused = outcomes.filter(({ reason }) => reason !== undefined);
  t.match(refused, [{ reason: { code: 'ENFILE' } }]);
  const [{ each } = { each: '' }] = refused;
  const { inode } = await other.lookup(ROOT_INODE, name(each));
  await other.unlink(ROOT_INODE, name(each));
  await waitUntil(async () => (await refusal(other.getattr(inode))) === 'ENOENT', {
    what: 'the file is gone, since nobody has it open',
  });
});
