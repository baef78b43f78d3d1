"""chmod(2) and what clears set-user-ID and set-group-ID."""
import os
import subprocess
from harness import *
from syscalls import *


@case('every mode of every type is kept', 'POSIX chmod()')
def _():
    for kind, make in MAKERS.items():
        if kind == 'symlink':
            continue
        make(kind)
        for mode in (0, 0o777, 0o644, 0o111, 0o4755, 0o2755, 0o1777, 0o7777, 0o151):
            os.chmod(kind, mode)
            equal(mode_of(kind), mode, kind)
        os.chmod(kind, 0o755)


@case('chmod moves ctime alone', 'POSIX chmod(): "mark for update the last file status change timestamp"')
def _():
    create('f')
    directory('d')
    for path in ('f', 'd'):
        with moves('ctime', path):
            os.chmod(path, 0o700)
        with moves('ctime', path):
            fd = os.open(path, os.O_RDONLY)
            os.fchmod(fd, 0o750)


@case('only the owner and root may: EPERM', 'POSIX chmod() [EPERM]')
def _():
    create('f', mode=0o777, owner=ALICE)
    for who, wanted in ((ALICE, 'ok'), (BOB, 'EPERM'), (ROOT, 'ok'), ((BOB[0], ALICE[1]), 'EPERM')):
        expect_as(who, wanted, os.chmod, 'f', 0o666)
    expect_as(BOB, 'EPERM', lambda: os.fchmod(os.open('f', os.O_RDWR), 0o600))


@case('set-group-ID by an owner who is not in the group is left out, silently', 'POSIX chmod(): "S_ISGID … shall be cleared"')
def _():
    create('f', mode=0o755, owner=(ALICE[0], BOB[1]))
    expect_as(ALICE, 'ok', os.chmod, 'f', 0o2755)
    equal(mode_of('f'), 0o755)
    expect_as(ALICE, 'ok', os.chmod, 'f', 0o2755, groups=(BOB[1],))
    equal(mode_of('f'), 0o2755)
    expect_as(ALICE, 'ok', os.chmod, 'f', 0o4755)
    equal(mode_of('f'), 0o4755)


@case('the sticky bit of a file may be set by its owner', 'chmod(2): Linux allows it')
def _():
    create('f', owner=ALICE)
    expect_as(ALICE, 'ok', os.chmod, 'f', 0o1644)
    equal(mode_of('f'), 0o1644)


@case('a symbolic link is followed; without following it is not supported', 'fchmodat(2), AT_SYMLINK_NOFOLLOW')
def _():
    create('f')
    os.symlink('f', 'l')
    os.chmod('l', 0o600)
    equal(mode_of('f'), 0o600)


@case('who is not root and writes clears set-user-ID and set-group-ID', 'POSIX write(): "clear the S_ISUID and S_ISGID bits"')
def _():
    for mode, wanted in ((0o6777, 0o777), (0o4777, 0o777), (0o2777, 0o777), (0o2767, 0o767), (0o6767, 0o767)):
        for call in (
            lambda fd: os.write(fd, b'x'), lambda fd: os.pwrite(fd, b'x', 3), lambda fd: os.ftruncate(fd, 2),
            lambda fd: os.truncate('f', 1), lambda fd: os.close(os.open('f', os.O_WRONLY | os.O_TRUNC)),
        ):
            create('f', b'content', mode, ALICE)
            as_user(BOB, lambda: (call(os.open('f', os.O_RDWR)), None)[1])
            # Without the group's execute bit, set-group-ID goes since Linux 6.2 unless the caller is in the group.
            check(mode_of('f') in (wanted, wanted if mode & 0o10 else wanted | 0o2000), 'after %o: is %o' % (mode, mode_of('f')))
            os.unlink('f')


@case('fallocate by who is not root clears them, too', 'fallocate(2); file_remove_privs')
def _():
    for mode in (0o6777, 0o4777, 0o2777):
        create('f', b'content', mode, ALICE)
        as_user(BOB, lambda: fallocate(os.open('f', os.O_RDWR), 0, 0, 100))
        equal(mode_of('f'), 0o777, 'after %o' % mode)
        os.unlink('f')


@case('root writes and the bits stay', 'file_remove_privs: CAP_FSETID keeps them')
def _():
    create('f', b'content', 0o6777)
    with open('f', 'r+b') as file:
        file.write(b'x')
    equal(mode_of('f'), 0o6777)
    os.truncate('f', 3)
    equal(mode_of('f'), 0o6777)


@case('a shared mapping that is written clears them, too', 'POSIX mmap(); file_update_time and file_remove_privs')
def _():
    import mmap
    create('f', b'c' * 4096, 0o4777, ALICE)

    def body():
        fd = os.open('f', os.O_RDWR)
        os.write(fd, b'x')
        with mmap.mmap(fd, 4096) as mapped:
            mapped[0] = 65
            mapped.flush()
    as_user(BOB, body)
    equal(mode_of('f'), 0o777)


@case('a set-user-ID program runs as its owner', 'POSIX exec: effective user ID')
def _():
    if os.statvfs('.').f_flag & os.ST_NOSUID:
        raise Skip('mounted nosuid')
    with open('/usr/bin/id', 'rb') as program:
        create('id', program.read(), 0o4755, BOB)
    equal(as_user(ALICE, lambda: subprocess.check_output(['./id', '-u']).decode().strip()), str(BOB[0]))
    os.chmod('id', 0o755)
    equal(as_user(ALICE, lambda: subprocess.check_output(['./id', '-u']).decode().strip()), str(ALICE[0]))


@case('the prefix must be searchable: EACCES', 'POSIX chmod() [EACCES]')
def _():
    directory('d', 0o700, BOB)
    create('d/f', owner=ALICE)
    expect_as(ALICE, 'EACCES', os.chmod, 'd/f', 0o600)


@case('a mode that changes counts for the next open, not for who has it open', 'POSIX open(): checked at open')
def _():
    create('f', b'content', 0o666)

    fd = os.open('f', os.O_RDWR)
    os.chmod('f', 0)

    def later():
        expect('EACCES', open_close, 'f', os.O_RDONLY)
        equal(os.pread(fd, 7, 0), b'content')
        equal(os.pwrite(fd, b'x', 0), 1)
    as_user(ALICE, later)


@case('a mode that one mount changes, the other one sees and obeys', 'coherence of two mounts')
def _():
    if not Report.second:
        raise Skip('one mount')
    create('f', mode=0o600, owner=BOB)
    os.chdir(Report.second)
    equal(mode_of('f'), 0o600)
    expect_as(ALICE, 'EACCES', open_close, 'f', os.O_RDONLY)
    here = os.open('.', os.O_RDONLY)
    os.chmod('f', 0o604)
    os.fchdir(here)
    expect_as(ALICE, 'ok', open_close, 'f', os.O_RDONLY)
