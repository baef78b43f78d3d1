"""The matrix of permissions: three users (owner, member of the group, other) and root, and every mode."""
import os
from harness import *

GROUP = 40000
OWNER, MEMBER, OTHER = (20001, 30001), (20002, GROUP), (20003, 30003)


def allowed(mode, who):
    """The bits of read (4), write (2) and execute (1): of the first class that fits, and no other."""
    return {OWNER: mode >> 6, MEMBER: mode >> 3, OTHER: mode}[who] & 7


def modes():
    for bits in range(8):
        for place in (6, 3, 0):
            yield bits << place
            yield 0o777 & ~(bits << place)


@case('reading and writing a file: the first class that fits decides, also when it gives less', 'POSIX XBD 4.5 File Access Permissions')
def _():
    create('f', b'content')
    for mode in sorted(set(modes())):
        os.chown('f', OWNER[0], GROUP)
        os.chmod('f', mode)
        for who in (OWNER, MEMBER, OTHER):
            got = as_user(who, lambda: [
                outcome(open_close, 'f', os.O_RDONLY), outcome(open_close, 'f', os.O_WRONLY), outcome(open_close, 'f', os.O_RDWR),
                outcome(os.truncate, 'f', 7), os.access('f', os.R_OK), os.access('f', os.W_OK), os.access('f', os.X_OK),
            ])
            bits = allowed(mode, who)
            says = lambda wanted: 'ok' if bits & wanted == wanted else 'EACCES'
            equal(got, [says(4), says(2), says(6), says(2), bool(bits & 4), bool(bits & 2), bool(bits & 1)], 'mode %03o as %s' % (mode, who))


@case('a directory: reading lists, executing searches, both with writing change', 'POSIX XBD 4.5; path_resolution(7)')
def _():
    directory('d')
    create('d/f', b'content', 0o666)
    os.chown('d', OWNER[0], GROUP)
    for mode in sorted(set(modes())):
        os.chmod('d', mode)
        for who in (OWNER, MEMBER, OTHER):
            def attempt():
                made = outcome(open_close, 'd/new', os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                removed = outcome(os.unlink, 'd/new') if made == 'ok' else made
                return [outcome(os.listdir, 'd'), outcome(os.stat, 'd/f'), outcome(open_close, 'd/f', os.O_RDWR), made, removed,
                        outcome(os.chdir, 'd')]
            bits = allowed(mode, who)
            says = lambda wanted: 'ok' if bits & wanted == wanted else 'EACCES'
            equal(as_user(who, attempt), [says(4), says(1), says(1), says(3), says(3), says(1)], 'mode %03o as %s' % (mode, who))


@case('supplementary groups count as the group', 'POSIX XBD 4.5')
def _():
    create('f', b'content', 0o640, (OWNER[0], GROUP))
    expect_as(OTHER, 'EACCES', open_close, 'f', os.O_RDONLY)
    expect_as(OTHER, 'ok', open_close, 'f', os.O_RDONLY, groups=(5, 6, GROUP))
    expect_as(OTHER, 'EACCES', open_close, 'f', os.O_WRONLY, groups=(GROUP,))
    expect_as(OTHER, 'ok', open_close, 'f', os.O_RDONLY, groups=tuple(range(1000, 1200)) + (GROUP,))
    directory('d', 0o770, (OWNER[0], GROUP))
    expect_as(OTHER, 'ok', create, 'd/f', groups=(GROUP,))
    expect_as(OTHER, 'EACCES', os.unlink, 'd/f')
    expect_as(OTHER, 'ok', os.unlink, 'd/f', groups=tuple(range(1000, 1040)) + (GROUP,))


@case('root may read and write anything, search any directory, and run what somebody may run', 'POSIX XBD 4.5 appropriate privileges; capabilities(7) CAP_DAC_OVERRIDE')
def _():
    directory('d', 0, OWNER)
    create('d/f', b'content', 0, OWNER)
    expect('ok', open_close, 'd/f', os.O_RDWR)
    expect('ok', os.listdir, 'd')
    equal((os.access('d/f', os.R_OK), os.access('d/f', os.W_OK), os.access('d/f', os.X_OK)), (True, True, False))
    os.chmod('d/f', 0o001)
    check(os.access('d/f', os.X_OK), 'executable by somebody')


@case('access(2) asks for the real user, faccessat AT_EACCESS for the effective one', 'POSIX access(), faccessat()')
def _():
    create('f', mode=0o600, owner=OWNER)

    def body():
        os.setresuid(OTHER[0], OWNER[0], 0)
        return [os.access('f', os.R_OK), outcome(open_close, 'f', os.O_RDONLY), os.access('f', os.R_OK, effective_ids=True)]
    equal(in_child(body), [False, 'ok', True])


@case('running needs the execute bit, and not the read bit', 'POSIX exec [EACCES]')
def _():
    import subprocess
    with open('/bin/true', 'rb') as program:
        create('true', program.read(), 0o711, OWNER)
    run = lambda: outcome(lambda: subprocess.check_call(['./true']))
    for mode, who, wanted in ((0o711, OTHER, 'ok'), (0o744, OTHER, 'EACCES'), (0o710, OTHER, 'EACCES'), (0o011, OWNER, 'EACCES'), (0o644, ROOT, 'EACCES')):
        os.chmod('true', mode)
        equal(as_user(who, run), wanted, '%o' % mode)


@case('every directory of a path must be searchable', 'POSIX: every page, [EACCES] "a component of the path prefix"')
def _():
    os.makedirs('a/b/c')
    create('a/b/c/f', b'content', 0o644)
    for dark in ('a', 'a/b', 'a/b/c'):
        os.chmod(dark, 0o766)
        for call in (lambda p: open_close(p, os.O_RDONLY), os.stat, os.lstat, os.readlink, os.unlink, os.listdir,
                     lambda p: os.chmod(p, 0o600), lambda p: os.rename(p, 'x'), lambda p: os.mkdir(p + 'x'), lambda p: os.getxattr(p, 'user.x')):
            expect_as(OTHER, 'EACCES', call, 'a/b/c/f')
        os.chmod(dark, 0o755)
    expect_as(OTHER, 'ok', open_close, 'a/b/c/f', os.O_RDONLY)


@case('a right that is taken away counts at once, in a process that had it', 'POSIX XBD 4.5: checked at each access')
def _():
    directory('d', 0o755)
    create('d/f', b'content', 0o644)
    read, write = os.pipe()
    back, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(*[OTHER[1]] * 3)
        os.setresuid(*[OTHER[0]] * 3)
        said = outcome(open_close, 'd/f', os.O_RDONLY)
        os.write(write, b'x')
        os.read(back, 1)
        os._exit(0 if (said, outcome(open_close, 'd/f', os.O_RDONLY), outcome(os.stat, 'd/f')) == ('ok', 'EACCES', 'EACCES') else 1)
    os.read(read, 1)
    os.chmod(os.path.join(Report.second or '.', 'd'), 0o700)
    os.write(go, b'x')
    equal(os.waitpid(pid, 0)[1], 0)
