import t from 'tap';
import { S_IFDIR, S_IFREG, S_ISVTX } from '../../../src/protocol/file-mode.js';
import {
  Access,
  accessRefusal,
  accessToMove,
  isAclConsulted,
  ownerRefusal,
  rootRefusal,
  stickyRefusal,
} from '../../../src/rules/permissions.js';
import { AclTag, type Acl } from '../../../src/rules/posix-acl.js';
import { refuse } from '../../../src/rules/refusal.js';
import { caller, record } from './records.js';

const NO_ID = 0xffff_ffff;
const { read, write, execute } = Access;

t.test('POSIX 4.7: one class of bits decides, the owner’s, the group’s or the others’', async t => {
  const inode = record({ mode: S_IFREG | 0o074, uid: 7, gid: 8 });
  const may = (who: ReturnType<typeof caller>, wanted: number): boolean =>
    accessRefusal(inode, who, wanted, undefined) === undefined;
  t.notOk(may(caller(7, 8), read), 'the owner, though its group may');
  t.ok(may(caller(5, 8), read | write | execute));
  t.ok(may(caller(5, 5, 8), read), 'by a supplementary group');
  t.ok(may(caller(5), read));
  t.notOk(may(caller(5), write));
  t.ok(may(caller(0), write), 'root');
  t.equal(accessRefusal(inode, undefined, write, undefined), undefined, 'no caller');
});

t.test('acl(5): a named user’s entry decides, within the mask', async t => {
  const acl: Acl = [
    { tag: AclTag.userObject, permissions: 7, id: NO_ID },
    { tag: AclTag.user, permissions: 6, id: 5 },
    { tag: AclTag.groupObject, permissions: 0, id: NO_ID },
    { tag: AclTag.group, permissions: 4, id: 9 },
    { tag: AclTag.mask, permissions: 4, id: NO_ID },
    { tag: AclTag.other, permissions: 7, id: NO_ID },
  ];
  const inode = record({ mode: S_IFREG | 0o747 });
  t.equal(accessRefusal(inode, caller(5), read, acl), undefined);
  t.equal(accessRefusal(inode, caller(5), write, acl)?.code, 'EACCES', 'masked');
  t.equal(accessRefusal(inode, caller(6, 9), read, acl), undefined);
  t.equal(accessRefusal(inode, caller(6, 9), execute, acl)?.code, 'EACCES', 'a member is no other');
  t.equal(accessRefusal(inode, caller(6), execute, acl), undefined);
  t.equal(isAclConsulted(inode, caller(7)), false, 'not for the owner');
  t.equal(isAclConsulted(inode, caller(5)), true);
});

t.test('unlink(2): in a sticky directory its owner and the file’s may remove', async t => {
  const sticky = record({ mode: S_IFDIR | S_ISVTX | 0o777, uid: 1 });
  const file = record({ uid: 2 });
  t.equal(stickyRefusal(sticky, file, caller(1)), undefined);
  t.equal(stickyRefusal(sticky, file, caller(2)), undefined);
  t.equal(stickyRefusal(sticky, file, caller(3))?.code, 'EPERM');
  t.equal(stickyRefusal(sticky, file, caller(0)), undefined);
  t.equal(stickyRefusal({ ...sticky, mode: S_IFDIR | 0o777 }, file, caller(3)), undefined);
});

t.test('owners, root, and rename(2) of a directory to another one', async t => {
  t.equal(ownerRefusal(record(), caller(7)), undefined);
  t.equal(ownerRefusal(record(), caller(6))?.code, 'EPERM');
  t.equal(rootRefusal(caller(6), 'do that')?.code, 'EPERM');
  t.equal(rootRefusal(undefined, 'do that'), undefined);
  t.equal(accessToMove(record({ mode: S_IFDIR })), write, '"needed to update the .. entry"');
  t.equal(accessToMove(record()), 0);
  t.throws(() => refuse(rootRefusal(caller(6), 'do that')), { code: 'EPERM' });
});
