import t from 'tap';
import {
  aclWithMode,
  AclTag,
  decodeAcl,
  encodeAcl,
  inheritAcl,
  isMinimal,
  modeWithAcl,
  type Acl,
} from '../../../src/rules/posix-acl.js';
import { hasCode } from '../../../src/protocol/errors.js';

const NO_ID = 0xffff_ffff;
const entry = (tag: number, permissions: number, id = NO_ID): Acl[number] => ({ tag, permissions, id });
const minimal: Acl = [entry(AclTag.userObject, 6), entry(AclTag.groupObject, 4), entry(AclTag.other, 0)];
const extended: Acl = [
  entry(AclTag.userObject, 7),
  entry(AclTag.user, 6, 1000),
  entry(AclTag.user, 4, 1001),
  entry(AclTag.groupObject, 5),
  entry(AclTag.group, 7, 50),
  entry(AclTag.mask, 6),
  entry(AclTag.other, 1),
];

t.test('an ACL is read from the kernel’s bytes and written as the same', async t => {
  t.same(decodeAcl(encodeAcl(extended)), extended);
  t.equal(encodeAcl(minimal).toString('hex'), '0200000001000600ffffffff04000400ffffffff20000000ffffffff');
  t.equal(decodeAcl(Buffer.from('02000000', 'hex')), undefined, 'no entries: no ACL');
});

t.test('what acl_valid(3) refuses is EINVAL', async t => {
  const cases: Record<string, Acl> = {
    'others missing': minimal.slice(0, 2),
    'owner missing': minimal.slice(1),
    'owning group missing': [entry(AclTag.userObject, 6), entry(AclTag.other, 0)],
    'twice the same': [...minimal.slice(0, 1), ...minimal],
    'out of order': minimal.toReversed(),
    'named user without mask': minimal.toSpliced(1, 0, entry(AclTag.user, 7, 5)),
    'named group without mask': minimal.toSpliced(2, 0, entry(AclTag.group, 7, 5)),
    'nobody named': extended.toSpliced(1, 1, entry(AclTag.user, 7)),
    'more than rwx': minimal.with(0, entry(AclTag.userObject, 8)),
    'unknown tag': minimal.toSpliced(1, 0, entry(0x40, 7)),
    'two tags in one': minimal.toSpliced(1, 0, entry(AclTag.user | AclTag.groupObject, 7)),
    'entries after others': [...minimal, entry(AclTag.mask, 7)],
  };
  for (const [name, acl] of Object.entries(cases)) {
    t.throws(() => decodeAcl(encodeAcl(acl)), { code: 'EINVAL' }, name);
  }
  t.throws(() => decodeAcl(encodeAcl(minimal).subarray(0, -1)), { code: 'EINVAL' }, 'cut off');
  t.throws(() => decodeAcl(Buffer.alloc(0)), { code: 'EINVAL' }, 'no header');
  t.throws(() => decodeAcl(Buffer.from('03000000', 'hex')), { code: 'EOPNOTSUPP' }, 'another version');
});

t.test('random bytes are an ACL that can be written again, or EINVAL, and never anything else', async t => {
  let state = 12_345;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  const tags = [1, 2, 4, 8, 16, 32];
  let valid = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const kept = tags.filter(tag => random(8) > (tag === 2 || tag === 8 ? 3 : 0));
    const acl = kept.map(tag => entry(tag, random(8), tag === 2 || tag === 8 ? random(5) : NO_ID));
    const bytes = encodeAcl(acl);
    if (random(4) === 0 && bytes.length > 4) bytes[4 + random(bytes.length - 4)] = random(256);
    try {
      const read = decodeAcl(bytes);
      if (!read) continue;
      valid += 1;
      if (!encodeAcl(read).subarray(4).length) t.fail('empty');
      // Whatever is valid has a mode, and its mode gives it back.
      const mode = modeWithAcl(0, read);
      if (modeWithAcl(0, aclWithMode(read, mode)) !== mode) t.fail(`seed state ${state}`);
    } catch (error) {
      if (!hasCode(error, 'EINVAL')) throw error;
    }
  }
  t.ok(valid > 1000, `${valid} were valid`);
});

t.test('acl(5): the group bits of the mode are the mask, where there is one', async t => {
  t.equal(modeWithAcl(0o104777, extended), 0o104761);
  t.equal(modeWithAcl(0o102777, minimal), 0o102640);
  t.ok(isMinimal(minimal));
  t.notOk(isMinimal(extended));
  t.notOk(isMinimal(minimal.toSpliced(2, 0, entry(AclTag.mask, 7))), 'a mask alone is not in the mode');
  const changed = aclWithMode(extended, 0o4750);
  t.same(
    changed.map(({ permissions }) => permissions),
    [7, 6, 4, 5, 7, 5, 0],
  );
  t.same(
    aclWithMode(minimal, 0o123).map(({ permissions }) => permissions),
    [1, 2, 3],
  );
});

t.test('acl(5): a new file has the default ACL without what its mode does not have', async t => {
  const file = inheritAcl(extended, 0o100644);
  t.equal(file.mode, 0o100640);
  t.same(
    file.access?.map(({ permissions }) => permissions),
    [6, 6, 4, 5, 7, 4, 0],
  );
  const plain = inheritAcl(minimal, 0o42777);
  t.equal(plain.mode, 0o42640);
  t.equal(plain.access, undefined, 'the mode says it all');
});
