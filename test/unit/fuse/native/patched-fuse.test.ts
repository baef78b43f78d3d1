/** What this driver puts right of fuse-native (fuse/native/patched-fuse.ts), called as its native side calls it. */
import t from 'tap';
import { PatchedFuse } from '../../../../src/fuse/native/patched-fuse.js';
import { ERRNO } from '../../../../src/protocol/errors.js';
import { statFields, type StatFields } from '../../../../src/fuse/native/stat-fields.js';
import { attributesOf } from '../../../support/attributes-of.js';

const OP_UTIMENS = 12;
const ATIME_OFFSET = 104;
const MTIME_OFFSET = 112;

type Done = (status: number, ...results: unknown[]) => void;

class OpenedFuse extends PatchedFuse {
  /** Calls what the native side calls by this name, and returns what it is signalled. */
  async call(name: string, ...args: unknown[]): Promise<unknown[]> {
    const method = Reflect.get(this, name) as (signal: Done, ...args: unknown[]) => void;
    return await new Promise(resolve => method.call(this, (...signalled) => resolve(signalled), ...args));
  }

  handlers(): ReturnType<PatchedFuse['_makeHandlerArray']> {
    return this._makeHandlerArray();
  }

  options(): unknown {
    return Reflect.apply(Reflect.get(this, '_fuseOptions') as () => unknown, this, []);
  }
}

function opened(answers: Partial<Record<'stat' | 'value', unknown>> & { readonly status?: number } = {}) {
  const { status = 0, stat, value } = answers;
  const asked: unknown[][] = [];
  const operations = {
    getattr: (path: string, done: Done) => (asked.push(['getattr', path]), done(status, stat)),
    fgetattr: (path: string, handle: number, done: Done) => (
      asked.push(['fgetattr', path, handle]),
      done(status, stat)
    ),
    getxattr: (path: string, name: string, _position: number, done: Done) => (
      asked.push(['getxattr', path, name]),
      done(status, value)
    ),
    listxattr: (path: string, done: Done) => (asked.push(['listxattr', path]), done(status, value)),
    utimens: (path: string, atime: number, mtime: number) => void asked.push(['utimens', path, atime, mtime]),
  };
  return { asked, fuse: new OpenedFuse('/nowhere', operations, ['big_writes', 'fsname=a\\,b']) };
}

/** Two words of 32 bits, as the library passes a number. */
const words = (value: number): [low: number, high: number] => [value % 2 ** 32, Math.floor(value / 2 ** 32)];

t.test('libfuse gets the options as one argument', async t => {
  t.equal(opened().fuse.options(), '-obig_writes,fsname=a\\,b');
});

t.test('utimens passes both times, of which the library itself loses the second', async t => {
  const { asked, fuse } = opened();
  const [atime, mtime] = [2 ** 41 + 5, 2 ** 40 + 9];
  const memory = Buffer.alloc(256);
  memory.writeBigUInt64LE(BigInt(atime), ATIME_OFFSET);
  memory.writeBigUInt64LE(BigInt(mtime), MTIME_OFFSET);
  const handler = fuse.handlers()[OP_UTIMENS];
  handler?.(memory, OP_UTIMENS, '/f', ...words(atime), ...words(atime));
  t.same(asked, [['utimens', '/f', atime, mtime]]);
});

t.test(
  'where memory is laid out in another way, the mtime is what the library says, and nothing is read amiss',
  async t => {
    const { asked, fuse } = opened();
    const [atime, mtime] = [1_700_000_000_000, 99];
    const memory = Buffer.alloc(256);
    memory.writeBigUInt64LE(BigInt(atime + 1), ATIME_OFFSET);
    memory.writeBigUInt64LE(BigInt(mtime), MTIME_OFFSET);
    const handler = fuse.handlers()[OP_UTIMENS];
    for (const other of [memory, Buffer.alloc(0), memory.subarray(0, MTIME_OFFSET + 7)])
      handler?.(other, OP_UTIMENS, '/f', ...words(atime), ...words(atime));
    t.same(
      asked,
      Array.from({ length: 3 }, () => ['utimens', '/f', atime, atime]),
    );
  },
);

t.test('fstat is asked of the handle; without one libfuse means the path', async t => {
  const stat = statFields(
    attributesOf({
      inode: 8,
      size: 2 ** 33 + 1,
      allocated: 512 * 2 ** 33,
      mtime: { sec: 2 ** 31, nsec: 0 },
      nlink: 0,
    }),
  );
  const { asked, fuse } = opened({ stat });
  const [status, fields] = await fuse.call('_op_fgetattr', '/f', 5);
  t.equal(status, 0);
  // getStatArray() of the library: 64-bit numbers are two words.
  const mtime = 2 ** 31 * 1000;
  t.same(
    fields,
    Uint32Array.from(
      [
        [0o100644, 0, 0, ...words(2 ** 33 + 1), 0, 0, 8, 0, 128 << 10],
        [...words(2 ** 33), 0, 0, ...words(mtime), 0, 0],
      ].flat(),
    ),
  );
  await fuse.call('_op_fgetattr', '/f', 0);
  t.same(asked, [
    ['fgetattr', '/f', 5],
    ['getattr', '/f'],
  ]);
});

t.test('fstat that fails passes its errno, and memory of the expected size', async t => {
  const { fuse } = opened({ status: -ERRNO.EBADF, stat: undefined as StatFields | undefined });
  t.same(await fuse.call('_op_fgetattr', '/f', 5), [-ERRNO.EBADF, new Uint32Array(18)]);
});

for (const [method, args] of [
  ['_op_getxattr', ['/f', 'user.a']],
  ['_op_listxattr', ['/f']],
] as const) {
  t.test(
    `${method}: size 0 asks for the size, and what does not fit is ERANGE rather than cut off`,
    async t => {
      const value = Buffer.from('value');
      const { fuse } = opened({ value });
      const ask = async (size: number) => {
        const room = Buffer.from(new ArrayBuffer(size));
        const [status, memory] = await fuse.call(method, ...args, room);
        return { status, room, memory };
      };
      const sized = await ask(0);
      t.equal(sized.status, 5);
      // Without any the native side ends the process.
      t.ok(sized.memory instanceof ArrayBuffer && sized.memory.byteLength > 0);
      const [exact, large] = [await ask(5), await ask(8)];
      t.equal(exact.status, 5);
      t.equal(exact.room.toString(), 'value');
      t.equal(exact.memory, exact.room.buffer, 'the native side’s own memory goes back');
      t.equal(large.status, 5);
      t.equal(large.room.toString(), 'value\0\0\0');
      const small = await ask(4);
      t.equal(small.status, -ERRNO.ERANGE);
      t.same(small.room, Buffer.alloc(4));
      const failing = opened({ status: -ERRNO.ENODATA });
      t.equal((await failing.fuse.call(method, ...args, Buffer.alloc(4)))[0], -ERRNO.ENODATA);
    },
  );
}
