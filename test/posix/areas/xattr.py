"""Extended attributes."""
import os
from harness import *

CREATE, REPLACE = os.XATTR_CREATE, os.XATTR_REPLACE


@case('values of 0 to 60,000 bytes come back as they were given', 'xattr(7); setxattr(2)')
def _():
    create('f')
    directory('d')
    for path in ('f', 'd'):
        for size in (0, 1, 100, 3000):
            value = bytes(index % 256 for index in range(size))
            os.setxattr(path, 'user.x', value)
            equal(os.getxattr(path, 'user.x'), value)
        os.setxattr(path, 'user.y', b'2')
        equal(sorted(os.listxattr(path)), ['user.x', 'user.y'])
        os.removexattr(path, 'user.x')
        equal(os.listxattr(path), ['user.y'])


@case('XATTR_CREATE is EEXIST when it is there, XATTR_REPLACE is ENODATA when not', 'setxattr(2)')
def _():
    create('f')
    expect('ENODATA', os.setxattr, 'f', 'user.x', b'1', REPLACE)
    expect('ok', os.setxattr, 'f', 'user.x', b'1', CREATE)
    expect('EEXIST', os.setxattr, 'f', 'user.x', b'2', CREATE)
    equal(os.getxattr('f', 'user.x'), b'1')
    expect('ok', os.setxattr, 'f', 'user.x', b'3', REPLACE)
    equal(os.getxattr('f', 'user.x'), b'3')
    for flags in (4, 8 | CREATE, 1 << 30):
        expect('EINVAL', os.setxattr, 'f', 'user.x', b'4', flags)
    equal(os.getxattr('f', 'user.x'), b'3')


@case('what is not there is ENODATA', 'getxattr(2), removexattr(2) [ENODATA]')
def _():
    create('f')
    expect('ENODATA', os.getxattr, 'f', 'user.x')
    expect('ENODATA', os.removexattr, 'f', 'user.x')
    expect('ENOENT', os.getxattr, 'missing', 'user.x')
    expect('ENOENT', os.setxattr, 'missing', 'user.x', b'')
    equal(os.listxattr('f'), [])


@case('a name of 255 bytes is allowed, a longer one ERANGE; a value over 64 KiB is E2BIG', 'xattr(7), limits; setxattr(2)')
def _():
    create('f')
    name = 'user.' + 'n' * 250
    os.setxattr('f', name, b'1')
    equal(os.listxattr('f'), [name])
    expect('ERANGE', os.setxattr, 'f', name + 'n', b'1')
    expect('ERANGE', os.getxattr, 'f', name + 'n')
    expect('E2BIG|ENOSPC', os.setxattr, 'f', 'user.x', b'x' * 65537)


@case('a name without a name space, or of one that there is not, is EOPNOTSUPP', 'xattr(7); setxattr(2) [ENOTSUP]')
def _():
    create('f')
    for name in ('x', 'nobody.x'):
        expect('EOPNOTSUPP|EINVAL', os.setxattr, 'f', name, b'')
        expect('EOPNOTSUPP|EINVAL', os.getxattr, 'f', name)
    expect('EOPNOTSUPP|EINVAL', os.setxattr, 'f', 'user.', b'')


@case('user attributes are for files and directories: EPERM for others', 'xattr(7), User extended attributes')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        expect('ok' if kind in ('regular', 'directory') else 'EPERM', os.setxattr, kind, 'user.x', b'', follow_symlinks=False)


@case('user attributes go by the permissions of the file', 'xattr(7), User extended attributes')
def _():
    create('f', mode=0o644, owner=BOB)
    os.setxattr('f', 'user.x', b'1')
    expect_as(ALICE, 'ok', os.getxattr, 'f', 'user.x')
    expect_as(ALICE, 'EACCES', os.setxattr, 'f', 'user.x', b'2')
    expect_as(ALICE, 'EACCES', os.removexattr, 'f', 'user.x')
    expect_as(BOB, 'ok', os.setxattr, 'f', 'user.x', b'2')
    os.chmod('f', 0o600)
    expect_as(ALICE, 'EACCES', os.getxattr, 'f', 'user.x')
    expect_as(ALICE, 'ok', os.listxattr, 'f')


@case('in a sticky directory user attributes are for its owner: EPERM', 'xattr(7): "sticky bit … owner"')
def _():
    directory('d', 0o1777, BOB)
    expect_as(ALICE, 'EPERM', os.setxattr, 'd', 'user.x', b'')
    expect_as(BOB, 'ok', os.setxattr, 'd', 'user.x', b'')


@case('trusted attributes are for root, and unseen by others', 'xattr(7), Trusted extended attributes')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        os.setxattr(kind, 'trusted.x', b'secret', follow_symlinks=False)
        equal(os.getxattr(kind, 'trusted.x', follow_symlinks=False), b'secret', kind)
    os.chown('regular', *ALICE)
    expect_as(ALICE, 'EPERM', os.setxattr, 'regular', 'trusted.x', b'')
    expect_as(ALICE, 'ENODATA|EPERM', os.getxattr, 'regular', 'trusted.x')
    equal(as_user(ALICE, lambda: os.listxattr('regular')), [])


@case('security attributes are set by root, and read by all', 'xattr(7), Security extended attributes')
def _():
    create('f', owner=ALICE)
    os.setxattr('f', 'security.dfs', b'label')
    equal(os.getxattr('f', 'security.dfs'), b'label')
    expect_as(ALICE, 'EPERM', os.setxattr, 'f', 'security.dfs', b'')
    check('security.dfs' in os.listxattr('f'), 'it is listed')


@case('file capabilities are kept, and cleared by writing and chown', 'capabilities(7), File capabilities; file_remove_privs')
def _():
    # VFS_CAP_REVISION_2 with cap_net_bind_service.
    capability = bytes.fromhex('0100000200040000000000000000000000000000')
    for spoil in (lambda: os.close(open_and_write('f')), lambda: os.chown('f', 5, 6)):
        create('f', b'content', 0o755)
        os.setxattr('f', 'security.capability', capability)
        equal(os.getxattr('f', 'security.capability'), capability)
        spoil()
        expect('ENODATA', os.getxattr, 'f', 'security.capability')
        os.unlink('f')


def open_and_write(path):
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, b'x')
    return fd


@case('setting and removing move ctime alone; reading none', 'setxattr(2); inode(7) ctime')
def _():
    create('f')
    with moves('ctime', 'f'):
        os.setxattr('f', 'user.x', b'1')
    with moves('', 'f'):
        os.getxattr('f', 'user.x')
        os.listxattr('f')
    with moves('ctime', 'f'):
        os.removexattr('f', 'user.x')


@case('they belong to the file: all links have them, rename keeps them, a new file has none', 'xattr(7): "associated with inodes"')
def _():
    create('f')
    os.setxattr('f', 'user.x', b'1')
    os.link('f', 'g')
    os.rename('f', 'h')
    equal((os.getxattr('g', 'user.x'), os.getxattr('h', 'user.x')), (b'1', b'1'))
    os.unlink('g')
    os.unlink('h')
    create('f')
    equal(os.listxattr('f'), [])


@case('a hundred of them, and by descriptor also after unlink', 'xattr(7)')
def _():
    fd = os.open('f', os.O_CREAT | os.O_RDWR)
    for index in range(60):
        os.setxattr(fd, 'user.%d' % index, str(index).encode())
    os.unlink('f')
    equal(sorted(os.listxattr(fd)), sorted('user.%d' % index for index in range(60)))
    equal(os.getxattr(fd, 'user.42'), b'42')


@case('names are bytes', 'xattr(7)')
def _():
    create('f')
    os.setxattr('f', b'user.\xff\xfe', b'\0\xff')
    equal([os.fsencode(name) for name in os.listxattr('f')], [b'user.\xff\xfe'])
    equal(os.getxattr('f', b'user.\xff\xfe'), b'\0\xff')
