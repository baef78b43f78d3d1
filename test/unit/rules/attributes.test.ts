import t from 'tap';
import { S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_ISGID, S_ISUID } from '../../../src/protocol/file-mode.js';
import {
  setattrPermissionRefusal,
  setattrRefusal,
  withAttributes,
  type SetattrRequest,
} from '../../../src/rules/attributes.js';
import { MAX_TIME_SEC } from '../../../src/rules/file-time.js';
import { privilegesLost, withoutPrivileges } from '../../../src/rules/privileges.js';
import { caller, NOW, record, THEN } from './records.js';

const asks = (given: Omit<SetattrRequest, 'inode'>): SetattrRequest => ({ inode: 2, ...given });

t.test('chmod(2) and truncate(2) refuse what has no mode, or no content', async t => {
  t.equal(setattrRefusal(record({ mode: S_IFLNK | 0o777 }), asks({ mode: 0o600 }))?.code, 'EOPNOTSUPP');
  t.equal(setattrRefusal(record({ mode: S_IFDIR | 0o755 }), asks({ size: 1 }))?.code, 'EISDIR');
  t.equal(setattrRefusal(record({ mode: S_IFIFO | 0o755 }), asks({ size: 1 }))?.code, 'EINVAL');
  t.equal(setattrRefusal(record(), asks({ size: 1, mode: 0 })), undefined);
});

t.test('who may change what: chmod(2), chown(2), truncate(2), utimensat(2)', async t => {
  const file = record({ mode: S_IFREG | 0o662, uid: 7, gid: 8 });
  const code = (request: Omit<SetattrRequest, 'inode'>): string =>
    setattrPermissionRefusal(file, asks(request), undefined)?.code ?? 'OK';
  const owner = caller(7, 7, 9);
  const member = caller(5, 8);
  const other = caller(6);
  t.equal(code({ mode: 0o600, caller: owner }), 'OK');
  t.equal(code({ mode: 0o600, caller: member }), 'EPERM');
  t.equal(code({ uid: 6, caller: owner }), 'EPERM', 'only root gives files away');
  t.equal(code({ uid: 7, caller: owner }), 'OK', 'to itself');
  t.equal(code({ uid: 7, caller: other }), 'EPERM');
  t.equal(code({ gid: 9, caller: owner }), 'OK', 'to a group of its own');
  t.equal(code({ gid: 5, caller: owner }), 'EPERM');
  t.equal(code({ gid: 8, caller: other }), 'EPERM');
  t.equal(code({ size: 0, caller: member }), 'OK', 'the group may write');
  t.equal(code({ size: 0, caller: other }), 'OK', 'and so may others');
  t.equal(code({ atime: 'now', mtime: 'now', caller: other }), 'OK', 'a writer may set the time of now');
  t.equal(code({ mtime: { sec: 1, nsec: 0 }, caller: other }), 'EPERM', 'but no other');
  const readOnly = record({ mode: S_IFREG | 0o444 });
  const now = asks({ atime: 'now', mtime: 'now', caller: owner });
  t.equal(setattrPermissionRefusal(readOnly, now, undefined), undefined, 'the owner may in any case');
  t.equal(setattrPermissionRefusal(readOnly, { ...now, caller: other }, undefined)?.code, 'EACCES');
  t.equal(setattrPermissionRefusal(readOnly, asks({ size: 0, caller: other }), undefined)?.code, 'EACCES');
  t.equal(code({ uid: 1, gid: 1, mode: 0, caller: caller(0) }), 'OK');
});

t.test('POSIX chmod(): S_ISGID is cleared for a caller outside the file’s group', async t => {
  const changed = (request: Omit<SetattrRequest, 'inode'>): number =>
    withAttributes(record(), asks(request), NOW).mode;
  t.equal(changed({ mode: 0o2755, caller: caller(7, 7) }), S_IFREG | 0o755);
  t.equal(changed({ mode: 0o2755, caller: caller(7, 8) }), S_IFREG | 0o2755);
  t.equal(
    changed({ mode: 0o2755, gid: 9, caller: caller(7, 7, 9) }),
    S_IFREG | 0o2755,
    'the new group counts',
  );
  t.equal(changed({ mode: 0o2755 }), S_IFREG | 0o2755);
});

t.test('chown(2) takes S_ISUID and S_ISGID away from files, unless a mode is given', async t => {
  const executable = record({ mode: S_IFREG | S_ISUID | S_ISGID | 0o755 });
  t.equal(withAttributes(executable, asks({ uid: 9 }), NOW).mode, S_IFREG | 0o755);
  t.equal(withAttributes(executable, asks({ uid: 9, mode: 0o4755 }), NOW).mode, S_IFREG | 0o4755);
  const locking = record({ mode: S_IFREG | S_ISGID | 0o644 });
  t.equal(withAttributes(locking, asks({ gid: 9 }), NOW).mode, S_IFREG | S_ISGID | 0o644);
  t.equal(withAttributes(locking, asks({ size: 0, privilegeLoss: 'all' }), NOW).mode, S_IFREG | 0o644);
  const directory = record({ mode: S_IFDIR | S_ISGID | 0o755 });
  t.equal(withAttributes(directory, asks({ uid: 9 }), NOW).mode, S_IFDIR | S_ISGID | 0o755);
  t.equal(privilegesLost(S_IFREG, {}), undefined);
  t.equal(withoutPrivileges(0o6755, undefined), 0o6755);
});

t.test('utimensat(2): the times that are given, and the ctime in any case', async t => {
  const given = withAttributes(record(), asks({ atime: { sec: 5, nsec: 6 }, mtime: 'now' }), NOW);
  t.match(given, { atime: { sec: 5, nsec: 6 }, mtime: NOW, ctime: NOW });
  const untouched = withAttributes(record(), asks({ mode: 0 }), NOW);
  t.match(untouched, { atime: THEN, mtime: THEN, ctime: NOW });
  t.same(withAttributes(record(), asks({ mtime: { sec: 2 ** 50, nsec: 1 } }), NOW).mtime.sec, MAX_TIME_SEC);
  t.same(withAttributes(record(), asks({ size: 5 }), NOW).mtime, NOW, 'POSIX truncate()');
  t.same(withAttributes(record(), asks({ size: 5, mtime: { sec: 1, nsec: 0 } }), NOW).mtime.sec, 1);
});
