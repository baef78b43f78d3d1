"""mkdir(2)."""
import os
from harness import *


@case('the mode is what was asked for less the umask, the owner is the caller', 'POSIX mkdir()')
def _():
    directory('d', 0o777)
    for mode, umask in ((0o777, 0o022), (0o777, 0o077), (0o755, 0), (0o1777, 0), (0o151, 0o077), (0o345, 0o070), (0, 0)):
        as_user(ALICE, os.mkdir, 'd/e', mode, umask=umask)
        found = os.stat('d/e')
        equal(found.st_mode, 0o040000 | mode & ~umask, 'mode %o umask %o' % (mode, umask))
        equal((found.st_uid, found.st_gid, found.st_nlink), (*ALICE, 2))
        os.rmdir('d/e')


@case('set-user-ID and set-group-ID that are asked for are left out', 'mkdir(2): "mode & ~umask & 01777"')
def _():
    os.umask(0)
    os.mkdir('d', 0o7777)
    equal(mode_of('d'), 0o1777)


@case('in a set-group-ID directory the group and the bit are passed on', 'mkdir(2); inode(7) S_ISGID')
def _():
    directory('d', 0o2777, (0, BOB[1]))
    as_user(ALICE, os.mkdir, 'd/e', 0o755)
    equal((os.stat('d/e').st_gid, mode_of('d/e')), (BOB[1], 0o2755))


@case('an existing name is EEXIST, of any type', 'POSIX mkdir() [EEXIST]')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        expect('EEXIST', os.mkdir, kind)
    os.symlink('nowhere', 'dangling')
    expect('EEXIST', os.mkdir, 'dangling')
    expect('EEXIST', os.mkdir, 'dangling/')


@case('mkdir raises the link count of the parent and moves its times; the new one has times, too', 'POSIX mkdir()')
def _():
    directory('d')
    with moves('mtime ctime', 'd'):
        os.mkdir('d/e')
    equal(os.stat('d').st_nlink, 3)
    check(os.stat('d/e').st_mtime_ns >= os.stat('d').st_mtime_ns - 10 ** 8, 'a time of now')
    for index in range(20):
        os.mkdir('d/%d' % index)
    equal(os.stat('d').st_nlink, 23)


@case('a missing or wrong parent is ENOENT or ENOTDIR', 'POSIX mkdir() [ENOENT], [ENOTDIR]')
def _():
    create('f')
    expect('ENOENT', os.mkdir, 'missing/d')
    expect('ENOTDIR', os.mkdir, 'f/d')


@case('the parent must be writable and searchable: EACCES', 'POSIX mkdir() [EACCES]')
def _():
    for mode, wanted in ((0o755, 'EACCES'), (0o777, 'ok'), (0o773, 'ok'), (0o776, 'EACCES'), (0o772, 'EACCES')):
        directory('d', mode, BOB)
        expect_as(ALICE, wanted, os.mkdir, 'd/e')
        if wanted == 'ok':
            os.rmdir('d/e')
        os.rmdir('d')


@case('of many that make one directory at once, one wins', 'POSIX mkdir() [EEXIST]')
def _():
    for turn in range(15):
        children = []
        for number in range(4):
            pid = os.fork()
            children.append(pid)
            if pid == 0:
                where = Report.second if Report.second and number % 2 else '.'
                os._exit(0 if outcome(os.mkdir, os.path.join(where, 'd%d' % turn)) == 'ok' else 1)
        equal(sorted(os.waitpid(child, 0)[1] >> 8 for child in children), [0, 1, 1, 1])
