/** fallocate(2) and copy_file_range(2) by handle, beside a session that writes down what it is asked. */
import { constants } from 'node:fs';
import t from 'tap';
import type { MetadataSession } from '../../../src/client/session/metadata-session.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { allocateRange, copyRange, type RangeHandle } from '../../../src/vfs/range-changes.js';
import { FallocateFlag } from '../../../src/vfs/file-system.js';
import { refusal } from '../metadata/support/harness.js';

const { O_RDONLY, O_RDWR, O_WRONLY } = constants;
const { keepSize, punchHole, zeroRange } = FallocateFlag;
const FREE_BYTES = 1 << 20;
const COPIED = 4711;

function scripted() {
  const trace: unknown[] = [];
  const own = { isOpen: false, inode: 0 };
  const session = {
    ask: async () => ({ freeBytes: FREE_BYTES }),
    ordered: {
      execute: async (command: { name: string }, request: object) => {
        trace.push([command.name, request]);
        return { attributes: 'newest', copied: COPIED };
      },
    },
    changes: own,
    held: { has: (inode: number) => inode === own.inode },
    // Of the replies only what is asked for here.
  } as unknown as MetadataSession;
  const handle = (inode: number, flags: number, size = 0): RangeHandle => ({
    flags,
    file: {
      inode,
      size,
      settledInTime: async () => void trace.push(`${inode} settled`),
      note: attributes => void trace.push([inode, attributes]),
    },
  });
  return { session, trace, handle, own };
}

t.test('what was written is committed before the range is changed', async t => {
  const { session, trace, handle } = scripted();
  await allocateRange(session, handle(1, O_RDWR), keepSize, 10, 20, { privilegeLoss: 'ordinary' });
  const asked = { inode: 1, offset: 10, length: 20, zero: false, keepSize: true, privilegeLoss: 'ordinary' };
  t.same(trace, ['1 settled', ['fallocate', asked], [1, 'newest']]);
});

t.test('the modes of fallocate(2)', async t => {
  const { session, trace, handle } = scripted();
  const refused = async (mode: number, flags = O_RDWR, length = 1): Promise<string> =>
    await refusal(allocateRange(session, handle(1, flags), mode, 0, length));
  t.equal(await refused(0, O_RDONLY), 'EBADF');
  t.equal(await refused(punchHole), 'EOPNOTSUPP', 'a hole keeps the size');
  t.equal(await refused(punchHole | keepSize | zeroRange), 'EOPNOTSUPP');
  t.equal(await refused(0x40), 'EOPNOTSUPP');
  t.equal(await refused(0, O_RDWR, FREE_BYTES + 1), 'ENOSPC');
  t.same(trace, [], 'nothing was asked');
  t.equal(await refused(punchHole | keepSize, O_WRONLY, FREE_BYTES + 1), 'OK', 'a hole needs no room');
  t.equal(await refused(zeroRange, O_RDWR, FREE_BYTES + 1), 'OK');
  t.match(trace, [
    '1 settled',
    ['fallocate', { zero: true, keepSize: true }],
    [1, 'newest'],
    '1 settled',
    ['fallocate', { zero: true, keepSize: false }],
    [1, 'newest'],
  ]);
});

t.test('a range is copied by reference, once both files are committed', async t => {
  const { session, trace, handle } = scripted();
  const [from, to] = [handle(1, O_RDONLY, 1000), handle(2, O_WRONLY)];
  t.equal(await copyRange(session, from, 1, to, 3, 500, { privilegeLoss: 'all' }), COPIED);
  const asked = { source: 1, offset: 1, length: 500, target: 2, targetOffset: 3, privilegeLoss: 'all' };
  t.same(trace, ['1 settled', '2 settled', ['clone', asked], [2, 'newest']]);
});

t.test('handles that are not open for it', async t => {
  const { session, handle } = scripted();
  const [reading, writing] = [handle(1, O_RDONLY), handle(2, O_WRONLY)];
  t.equal(await refusal(copyRange(session, writing, 0, writing, 0, 1)), 'EBADF');
  t.equal(await refusal(copyRange(session, reading, 0, reading, 0, 1)), 'EBADF');
});

t.test('a few bytes are copied by the kernel when this client has the target to itself', async t => {
  const { session, handle, own } = scripted();
  const [small, large, target] = [
    handle(1, O_RDONLY, 100),
    handle(2, O_RDONLY, 1 << 20),
    handle(3, O_WRONLY),
  ];
  const copy = async (from: RangeHandle, to: RangeHandle, length = 1 << 20): Promise<string> =>
    await refusal(
      copyRange(session, from, 0, to, 0, length).then(copied => {
        if (copied !== COPIED) throw new DfsError('EIO', 'copied');
      }),
    );
  t.equal(await copy(small, target), 'OK', 'others use it');
  own.inode = 3;
  t.equal(await copy(small, target), 'OK', 'nothing is answered ahead now');
  own.isOpen = true;
  t.equal(await copy(small, target), 'EOPNOTSUPP');
  t.equal(await copy(large, target, 100), 'EOPNOTSUPP');
  t.equal(await copy(large, target), 'OK');
  t.equal(await copy(handle(4, O_RDONLY, 0), target), 'OK', 'nothing is to be copied');
  const both = handle(3, O_RDWR, 100);
  t.equal(await copy(both, both), 'OK', 'within one file');
});
