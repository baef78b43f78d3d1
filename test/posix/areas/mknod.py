"""mknod(2)."""
import os
from harness import *

TYPES = {'regular': 0o100000, 'fifo': 0o010000, 'char': 0o020000, 'block': 0o060000, 'socket': 0o140000}


@case('every type is made, with mode less umask, owner and device number', 'mknod(2)')
def _():
    directory('d', 0o777)
    for name, kind in TYPES.items():
        for device in (os.makedev(0, 0), os.makedev(1, 3), os.makedev(255, 255), os.makedev(4095, 1048575)):
            with moves('mtime ctime', 'd'):
                os.mknod('d/n', kind | 0o666, device)
            found = os.lstat('d/n')
            equal((found.st_mode, found.st_nlink, found.st_size, found.st_uid), (kind | 0o644, 1, 0, 0), name)
            if name in ('char', 'block'):
                equal(found.st_rdev, device)
            os.unlink('d/n')


@case('devices are for root: EPERM', 'mknod(2) [EPERM]')
def _():
    directory('d', 0o777)
    for name, kind in TYPES.items():
        expect_as(ALICE, 'EPERM' if name in ('char', 'block') else 'ok', os.mknod, 'd/' + name, kind | 0o644, os.makedev(1, 3))
    equal((os.stat('d/regular').st_uid, os.stat('d/fifo').st_gid), ALICE)


@case('a character device 0/0 opens nothing, so that anybody may make it', 'mknod(2) [EPERM]; vfs_mknod() since Linux 5.8')
def _():
    directory('d', 0o777)
    expect_as(ALICE, 'ok', os.mknod, 'd/whiteout', 0o020000, 0)
    expect_as(ALICE, 'EPERM', os.mknod, 'd/block', 0o060000, 0)
    found = os.lstat('d/whiteout')
    equal((found.st_mode, found.st_rdev, found.st_uid), (0o020000, 0, ALICE[0]))


@case('a directory cannot be made so: EPERM; nor a type that there is not: EINVAL', 'mknod(2) [EPERM], [EINVAL]')
def _():
    expect('EPERM', os.mknod, 'd', 0o040755)
    expect('EINVAL', os.mknod, 'd', 0o120777)
    expect('EINVAL', os.mknod, 'd', 0o150777)
    equal(os.listdir('.'), [])


@case('an existing name is EEXIST', 'mknod(2) [EEXIST]')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        for each in TYPES.values():
            expect('EEXIST', os.mknod, kind, each | 0o644, os.makedev(1, 3))


@case('mode 0 of the type is a regular file', 'mknod(2): "zero file type is equivalent to type S_IFREG"')
def _():
    os.mknod('f', 0o640)
    equal(os.stat('f').st_mode, 0o100640)
    with open('f', 'wb') as file:
        file.write(b'content')
    equal(content('f'), b'content')


@case('device nodes keep what they are over chmod, chown, link and rename', 'mknod(2)')
def _():
    os.mknod('n', 0o020644, os.makedev(1, 3))
    os.chmod('n', 0o600)
    os.chown('n', 1, 2)
    os.link('n', 'm')
    os.rename('n', 'o')
    found = os.stat('m')
    equal((found.st_mode, found.st_uid, found.st_gid, found.st_rdev, found.st_nlink), (0o020600, 1, 2, os.makedev(1, 3), 2))
