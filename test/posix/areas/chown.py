"""chown(2)."""
import os
from harness import *


@case('root gives any file to anybody, also with the largest numbers', 'POSIX chown()')
def _():
    for kind, make in MAKERS.items():
        make(kind)
        for owner in ((1, 2), (65534, 65533), (2 ** 32 - 2, 2 ** 32 - 2), (0, 0)):
            os.lchown(kind, *owner)
            found = os.lstat(kind)
            equal((found.st_uid, found.st_gid), owner, kind)


@case('-1 leaves the user or the group as it is', 'POSIX chown(): "(uid_t)-1 … not be changed"')
def _():
    create('f', owner=(5, 6))
    for uid, gid, wanted in ((-1, 7, (5, 7)), (8, -1, (8, 7)), (-1, -1, (8, 7))):
        os.chown('f', uid, gid)
        equal((os.stat('f').st_uid, os.stat('f').st_gid), wanted)


@case('chown moves ctime alone', 'POSIX chown(): "mark for update"')
def _():
    create('f')
    with moves('ctime', 'f'):
        os.chown('f', 5, 6)
    with moves('ctime', 'f'):
        os.fchown(os.open('f', os.O_RDONLY), 7, 8)


@case('an owner may give to a group that he is in, and to nobody else', 'POSIX chown() [EPERM], _POSIX_CHOWN_RESTRICTED')
def _():
    create('f', owner=ALICE)
    for uid, gid, wanted in (
        (BOB[0], -1, 'EPERM'), (-1, BOB[1], 'EPERM'), (-1, CAROL[1], 'ok'), (ALICE[0], ALICE[1], 'ok'),
        (ROOT[0], -1, 'EPERM'), (-1, 0, 'EPERM'), (-1, -1, 'ok'), (BOB[0], CAROL[1], 'EPERM'),
    ):
        expect_as(ALICE, wanted, os.chown, 'f', uid, gid, groups=(CAROL[1],))
    for uid, gid, wanted in ((BOB[0], BOB[1], 'EPERM'), (-1, BOB[1], 'EPERM'), (BOB[0], -1, 'EPERM')):
        expect_as(BOB, wanted, os.chown, 'f', uid, gid)


@case('set-user-ID and set-group-ID go with the owner, by whomever', 'POSIX chown(): "S_ISUID and S_ISGID … shall be cleared"; chown(2) for root')
def _():
    for who in (ROOT, ALICE):
        for mode, wanted in ((0o6755, 0o755), (0o4711, 0o711), (0o2755, 0o755), (0o2745, 0o2745 if who == ROOT else 0o745), (0o1755, 0o1755)):
            create('f', mode=mode, owner=ALICE)
            expect_as(who, 'ok', os.chown, 'f', -1, ALICE[1])
            if mode == 0o2745:
                # A set-group-ID bit without the group's execute bit was mandatory locking: it stays, or not.
                check(mode_of('f') in (0o2745, 0o745), 'either')
            else:
                equal(mode_of('f'), wanted, 'from %o by %s' % (mode, who))
            os.unlink('f')


@case('those of a directory stay', 'chown(2): only of what is not a directory')
def _():
    directory('d', 0o6755, ALICE)
    os.chown('d', 7, 8)
    equal(mode_of('d'), 0o6755)


@case('a symbolic link is followed by chown, not by lchown', 'POSIX chown(), lchown()')
def _():
    create('f')
    os.symlink('f', 'l')
    os.chown('l', 5, 6)
    os.lchown('l', 7, 8)
    equal((os.stat('f').st_uid, os.lstat('l').st_uid), (5, 7))
    os.symlink('missing', 'm')
    expect('ENOENT', os.chown, 'm', 5, 6)
    expect('ok', os.lchown, 'm', 5, 6)


@case('a new owner has the owner\'s rights at once', 'POSIX XBD 4.5 File Access Permissions')
def _():
    create('f', mode=0o600, owner=ALICE)
    expect_as(BOB, 'EACCES', open_close, 'f', os.O_RDONLY)
    os.chown('f', *BOB)
    expect_as(BOB, 'ok', open_close, 'f', os.O_RDWR)
    expect_as(ALICE, 'EACCES', open_close, 'f', os.O_RDONLY)


@case('the prefix must be searchable: EACCES', 'POSIX chown() [EACCES]')
def _():
    directory('d', 0o700, BOB)
    create('d/f', owner=ALICE)
    expect_as(ALICE, 'EACCES', os.chown, 'd/f', -1, ALICE[1])
