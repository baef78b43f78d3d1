/** Access control lists, which any user of a mount sets as an extended attribute. */
import { DfsError } from '../../../src/protocol/errors.js';
import {
  AclTag,
  decodeAcl,
  encodeAcl,
  inheritAcl,
  modeWithAcl,
  type AclEntry,
} from '../../../src/rules/posix-acl.js';
import { promise, type Decoder } from '../decoder.js';

const NOBODY = 0xffff_ffff;

export const acl: Decoder = {
  name: 'acl',
  words: ['\x02\0\0\0'],
  make(random) {
    const entry = (tag: number, id = NOBODY): AclEntry => ({ tag, permissions: random.integer(0, 8), id });
    const users = Array.from({ length: random.integer(0, 3) }, () => entry(AclTag.user, random.u32()));
    const groups = Array.from({ length: random.integer(0, 3) }, () => entry(AclTag.group, random.u32()));
    const list = [
      entry(AclTag.userObject),
      ...users,
      entry(AclTag.groupObject),
      ...groups,
      ...(random.isChance(0.7) ? [entry(AclTag.mask)] : []),
      entry(AclTag.other),
    ];
    return encodeAcl(list);
  },
  decode(input) {
    const list = decodeAcl(input);
    if (!list) return;
    promise(
      JSON.stringify(decodeAcl(encodeAcl(list))) === JSON.stringify(list),
      'an ACL that is written again is another one',
    );
    const mode = modeWithAcl(0o106_755, list);
    promise(mode >= 0 && (mode & ~0o777) === (0o106_755 & ~0o777), 'an ACL changes permission bits alone');
    const { mode: inherited } = inheritAcl(list, 0o640);
    promise((inherited & ~0o640) === 0, 'what is inherited gives no more than was asked for');
  },
  mayThrow: error => error instanceof DfsError && (error.code === 'EINVAL' || error.code === 'EOPNOTSUPP'),
};
