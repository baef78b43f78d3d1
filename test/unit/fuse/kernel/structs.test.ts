/** Each structure of the kernel, byte for byte as a C compiler has it (support/print-structs.c). */
import t from 'tap';
import { pruneInodes } from '../../../../src/fuse/kernel/notification.js';
import { Struct } from '../../../../src/fuse/kernel/struct.js';
import * as structs from '../../../../src/fuse/kernel/structs.js';
import { GOLDEN_STRUCTS } from './support/golden-structs.js';

type Description = { readonly [name: string]: string | number | Struct<never> };

/** A view whose fields are found by name. */
type Fields = Record<string, number | bigint | object>;

const KINDS_BITS: Readonly<Record<string, bigint>> = {
  u16: 16n,
  u32: 32n,
  i32: 32n,
  u64: 64n,
  i64: 64n,
  bits64: 64n,
};

/** The number of the n-th field, as print-structs.c has it. */
function valueOf(index: number, kind: string): number | bigint {
  const value = BigInt.asUintN(Number(KINDS_BITS[kind] ?? 0n), 0x0001_0a0b_0c0d_0000n + BigInt(index) * 257n);
  return kind === 'bits64' ? value : Number(value);
}

/** Calls `visit` for each field, those of structures inside in their place. */
function walk(
  view: Fields,
  description: Description,
  visit: (view: Fields, name: string, kind: string) => void,
): void {
  for (const [name, kind] of Object.entries(description)) {
    if (typeof kind === 'string') visit(view, name, kind);
    else if (typeof kind === 'object') walk(view[name] as Fields, kind.fields, visit);
  }
}

for (const [exported, struct] of Object.entries(structs)) {
  const golden = GOLDEN_STRUCTS[struct.name];
  if (golden === undefined) continue;
  t.test(`${exported} is laid out as ${struct.name}`, async t => {
    // The short form of a structure is the beginning of it.
    const bytes = Buffer.from(golden, 'hex').subarray(0, struct.bytes);
    if (!exported.includes('Short')) t.equal(struct.bytes * 2, golden.length, 'sizeof');
    const description = struct.fields as unknown as Description;
    const written = Buffer.alloc(struct.bytes);
    let index = 0;
    walk(struct.view(written, 0), description, (view, name, kind) => {
      index += 1;
      view[name] = valueOf(index, kind);
    });
    t.equal(written.toString('hex'), bytes.toString('hex'), 'written');
    index = 0;
    walk(struct.view(bytes, 0), description, (view, name, kind) => {
      index += 1;
      t.equal(view[name], valueOf(index, kind), name);
    });
  });
}

t.test('every structure that the header has is compared', async t => {
  const newer = ['fuseNodeid', 'fuseNotifyPruneOut'];
  const compared = Object.entries(structs).filter(([, { name }]) => name in GOLDEN_STRUCTS);
  t.same(
    Object.keys(structs).filter(name => !compared.some(([exported]) => exported === name)),
    newer,
  );
});

t.test('fuse_notify_prune_out, which came with 7.45, and the node ids after it', async t => {
  const header = ['30000000', '09000000', '0000000000000000', '02000000', '000000000000000000000000'];
  const expected = header.join('');
  t.equal(pruneInodes([5, 2 ** 40]).toString('hex'), `${expected}05000000000000000000000000010000`);
});

t.test('times before 1970 keep their sign', async t => {
  const bytes = structs.fuseAttr.encode({ mtime: -1, ctime: -(2 ** 33) - 1 });
  const attr = structs.fuseAttr.view(bytes, 0);
  t.same([attr.mtime, attr.ctime], [-1, -(2 ** 33) - 1]);
  t.equal(bytes.readBigInt64LE(32), -1n);
});

t.test('a number beyond 2^53 is Infinity, which no check lets pass', async t => {
  const bytes = structs.fuseForgetIn.encode({});
  bytes.writeBigUInt64LE(2n ** 53n);
  t.equal(structs.fuseForgetIn.view(bytes, 0).nlookup, Number.POSITIVE_INFINITY);
});

t.test('a request that is too short for its structure is EINVAL', async t => {
  const request = Buffer.alloc(structs.fuseOpenIn.end - 1);
  t.throws(() => structs.fuseOpenIn.body(request), { code: 'EINVAL' });
  t.ok(structs.fuseOpenIn.body(Buffer.alloc(structs.fuseOpenIn.end)));
});

t.test('a view reads and writes in place, and bytes without meaning stay zero', async t => {
  const struct = new Struct('example', { first: 'u16', gap: 6, last: 'u32' });
  const bytes = Buffer.alloc(20);
  const view = struct.view(bytes, 4);
  view.first = 0x1234;
  view.last = 7;
  t.equal(bytes.toString('hex'), '0000000034120000000000000700000000000000');
  bytes.writeUInt32LE(9, 12);
  t.equal(view.last, 9);
  t.equal(struct.bytes, 12);
});
