import t from 'tap';
import { ACCESS_ACL, DEFAULT_ACL } from '../../../src/protocol/attribute-names.js';
import { S_IFDIR, S_IFREG, S_ISVTX } from '../../../src/protocol/file-mode.js';
import { MAX_XATTR_VALUE_BYTES } from '../../../src/protocol/limits.js';
import { XattrFlag } from '../../../src/protocol/namespace-commands.js';
import { AclTag, encodeAcl, type Acl } from '../../../src/rules/posix-acl.js';
import {
  aclRefusal,
  setxattrRefusal,
  xattrChange,
  xattrFlagRefusal,
  xattrNameRefusal,
  xattrReadRefusal,
  xattrRoomRefusal,
  xattrWriteRefusal,
} from '../../../src/rules/xattrs.js';
import { caller, record } from './records.js';

const NO_ID = 0xffff_ffff;
const bytes = (text: string): Buffer => Buffer.from(text);

t.test('setxattr(2): names, flags, values and room', async t => {
  const asks = (name: string, flags = 0, value = bytes('v')) => ({
    inode: 2,
    name: bytes(name),
    flags,
    value,
  });
  t.equal(xattrNameRefusal(bytes('user.a')), undefined);
  t.equal(xattrNameRefusal(ACCESS_ACL), undefined);
  t.equal(xattrNameRefusal(bytes(''))?.code, 'ERANGE');
  t.equal(xattrNameRefusal(bytes('user.'))?.code, 'EINVAL');
  t.equal(xattrNameRefusal(bytes('system.x'))?.code, 'EOPNOTSUPP');
  t.equal(setxattrRefusal(asks('user.a', 8))?.code, 'EINVAL');
  t.equal(setxattrRefusal(asks('user.a', 0, Buffer.alloc(MAX_XATTR_VALUE_BYTES + 1)))?.code, 'E2BIG');
  t.equal(xattrFlagRefusal(asks('user.a', XattrFlag.create), true)?.code, 'EEXIST');
  t.equal(xattrFlagRefusal(asks('user.a', XattrFlag.replace), false)?.code, 'ENODATA');
  t.equal(xattrFlagRefusal(asks('user.a'), true), undefined);
  t.equal(xattrRoomRefusal([], bytes('user.a')), undefined);
  t.equal(xattrRoomRefusal([Buffer.alloc(65_530)], bytes('user.a'))?.code, 'ENOSPC');
});

t.test('xattr(7): user attributes go by permissions, trusted ones are root’s', async t => {
  const inode = record({ mode: S_IFREG | 0o640, uid: 7, gid: 8 });
  const mayRead = (name: string, uid: number): string =>
    xattrReadRefusal(inode, bytes(name), caller(uid), undefined)?.code ?? 'OK';
  const mayWrite = (name: string, uid: number, mode = inode.mode): string =>
    xattrWriteRefusal({ ...inode, mode }, bytes(name), caller(uid), undefined)?.code ?? 'OK';
  t.same([mayRead('user.a', 8), mayRead('user.a', 6), mayRead('user.a', 0)], ['OK', 'EACCES', 'OK']);
  t.equal(mayRead('trusted.a', 7), 'ENODATA');
  t.same([mayWrite('user.a', 7), mayWrite('user.a', 8)], ['OK', 'EACCES']);
  t.equal(mayWrite('security.a', 7), 'EPERM');
  t.equal(mayWrite('system.posix_acl_access', 8), 'EPERM');
  t.equal(mayWrite('user.a', 8, S_IFDIR | S_ISVTX | 0o777), 'EPERM', 'a sticky directory’s are its owner’s');
});

t.test('acl(5): an access ACL changes the mode, and is kept where the mode cannot say it', async t => {
  const minimal: Acl = [
    { tag: AclTag.userObject, permissions: 6, id: NO_ID },
    { tag: AclTag.groupObject, permissions: 4, id: NO_ID },
    { tag: AclTag.other, permissions: 0, id: NO_ID },
  ];
  const asks = (name: Buffer, value: Buffer) => ({ inode: 2, name, value, flags: 0 });
  const inode = record({ mode: S_IFREG | 0o2777 });
  const access = asks(ACCESS_ACL, encodeAcl(minimal));
  t.same(xattrChange(inode, access), { value: undefined, mode: S_IFREG | 0o2640 });
  t.equal(xattrChange(inode, { ...access, stripSetgid: true }).mode, S_IFREG | 0o640);
  t.equal(aclRefusal(inode, access), undefined);
  t.equal(aclRefusal(inode, asks(DEFAULT_ACL, encodeAcl(minimal)))?.code, 'EACCES');
  t.equal(aclRefusal(inode, asks(ACCESS_ACL, bytes('x')))?.code, 'EINVAL');
  t.same(xattrChange(inode, asks(bytes('user.a'), bytes('v'))), { value: bytes('v'), mode: inode.mode });
});
