/** What kernel and driver agree on (fuse/kernel/init.ts). */
import t from 'tap';
import { MAX_REQUEST_BYTES, negotiate } from '../../../../src/fuse/kernel/init.js';
import { fuseInHeader, fuseInitIn, fuseInitOut } from '../../../../src/fuse/kernel/structs.js';
import { InitFlag, InitFlag2 } from '../../../../src/fuse/kernel/wire.js';

const ALL = 0xffff_ffff;
const FUSE_WRITEBACK_CACHE = 1 << 16;
const FUSE_DO_READDIRPLUS = 1 << 13;
const FUSE_SECURITY_CTX = 1 << 0;

interface Offer {
  readonly major?: number;
  readonly minor?: number;
  readonly flags?: number;
  readonly flags2?: number;
}

/** An INIT request with its header; the first `bodyBytes` of its structure alone, if that is given. */
function init({ major = 7, minor = 44, flags = ALL, flags2 = ALL }: Offer, bodyBytes?: number): Buffer {
  const body = fuseInitIn.encode({ major, minor, maxReadahead: 131_072, flags, flags2 });
  return Buffer.concat([fuseInHeader.encode({}), body.subarray(0, bodyBytes)]);
}

t.test('of what the kernel offers, what this driver does is taken, and nothing else', async t => {
  const agreed = negotiate(init({}));
  const out = fuseInitOut.view(agreed.answer, 0);
  const taken = Object.values(InitFlag).reduce((all, bit) => all | bit, 0) >>> 0;
  t.equal(out.flags, taken);
  t.equal(agreed.flags, taken);
  t.equal(out.flags & FUSE_WRITEBACK_CACHE, 0, 'written pages do not wait in the kernel');
  t.equal(out.flags2, InitFlag2.directIoMaps);
  t.match(agreed, { minor: 44, mayBypassPages: true, hasLongSetxattr: true });
});

t.test('what the kernel does not offer is not taken', async t => {
  const agreed = negotiate(init({ flags: FUSE_DO_READDIRPLUS | InitFlag.more, flags2: FUSE_SECURITY_CTX }));
  t.match(fuseInitOut.view(agreed.answer, 0), { flags: FUSE_DO_READDIRPLUS | InitFlag.more, flags2: 0 });
  t.match(agreed, { mayBypassPages: false, hasLongSetxattr: false });
  t.match(negotiate(init({ flags: 0 })), { flags: 0, mayBypassPages: false, hasLongSetxattr: false });
});

t.test('the second flags count only when the first ones announce them', async t => {
  const agreed = negotiate(init({ flags: (ALL & ~InitFlag.more) >>> 0 }));
  t.equal(fuseInitOut.view(agreed.answer, 0).flags2, 0);
  t.equal(agreed.mayBypassPages, false);
});

t.test('the answer has the sizes that the rest of the driver reckons with', async t => {
  const out = fuseInitOut.view(negotiate(init({})).answer, 0);
  t.match(out, {
    major: 7,
    maxWrite: MAX_REQUEST_BYTES,
    maxPages: MAX_REQUEST_BYTES / 4096,
    maxReadahead: 1 << 20,
    timeGran: 1,
  });
  t.ok(out.congestionThreshold > 0 && out.congestionThreshold < out.maxBackground);
});

t.test('the oldest kernel that is served sends the short structure', async t => {
  const agreed = negotiate(init({ minor: 31, flags: InitFlag.asyncRead }, 16));
  t.match(agreed, { minor: 31, flags: InitFlag.asyncRead });
});

t.test(
  'a kernel that is too old is EPROTO, with what to do; one of another age of the protocol too',
  async t => {
    t.throws(() => negotiate(init({ minor: 30 })), {
      code: 'EPROTO',
      message: /FUSE 7\.30, but DFS needs 7\.31 .*--driver fuse-native/,
    });
    t.throws(() => negotiate(init({ major: 8, minor: 0 })), { code: 'EPROTO' });
    t.throws(() => negotiate(init({ major: 6, minor: 99 })), { code: 'EPROTO' });
  },
);

t.test('a torn INIT is EINVAL: of its structure, and of the second flags that it announces', async t => {
  t.throws(() => negotiate(init({}, 15)), { code: 'EINVAL' });
  t.throws(() => negotiate(init({}, 16)), { code: 'EINVAL' });
  t.throws(() => negotiate(fuseInHeader.encode({})), { code: 'EINVAL' });
});
