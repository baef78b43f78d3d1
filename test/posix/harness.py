"""Cases of POSIX behaviour, each with its rule and the rule's source, and what they need to be told.

A module of cases is run as `python3 run.py AREA DIRECTORY [SECOND_DIRECTORY] [--only SUBSTRING]`. Each case runs in a
process of its own whose working directory is fresh, as root; paths are relative, so that other users need no right to
search what is above the mount point.
"""
import errno
import json
import os
import sys
import time
import traceback

#: Three users that are nobody's: (uid, gid). None of them is in another one's group.
ALICE, BOB, CAROL = (20001, 30001), (20002, 30002), (20003, 30003)
ROOT = (0, 0)

#: Python knows these numbers by their other names.
SAME_AS = {'EDEADLOCK': 'EDEADLK', 'ENOTSUP': 'EOPNOTSUPP', 'EWOULDBLOCK': 'EAGAIN'}

CASES = []


class Report:
    """What the running case has found."""
    assertions = 0
    failures = []
    skipped = None
    #: The same directory by way of the second mount, or None.
    second = None


class Skip(Exception):
    """The case cannot be judged here, for the reason given."""


def case(rule, source):
    """Registers a function as a case: the rule in a sentence, and the page it is from."""
    def register(function):
        CASES.append((rule, source, function))
        return function
    return register


def fail(message):
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    Report.failures.append('line %d: %s' % (frame.f_lineno, message))


def check(condition, what):
    Report.assertions += 1
    if not condition:
        fail(what)


def equal(got, wanted, what=''):
    Report.assertions += 1
    if got != wanted:
        fail('%s%s is %s, not %s' % (what, what and ':', shown(got), shown(wanted)))


def shown(value):
    text = repr(value)
    return text if len(text) < 200 else text[:200] + '…'


def outcome(function, *parameters, **named):
    """'ok', or the name of the errno with which the call failed."""
    try:
        function(*parameters, **named)
        return 'ok'
    except OSError as error:
        name = errno.errorcode.get(error.errno, str(error.errno))
        return SAME_AS.get(name, name)


def expect(wanted, function, *parameters, **named):
    """The call fails with one of these errnos ('ENOENT', or 'EEXIST|ENOTEMPTY'), or is 'ok'."""
    Report.assertions += 1
    got = outcome(function, *parameters, **named)
    if got not in wanted.split('|'):
        name = getattr(function, '__name__', str(function))
        fail('%s%s is %s, not %s' % (name, shown(parameters), got, wanted))


def in_child(function, *parameters):
    """Runs a function in a child process and returns what it returned (as JSON has it); its findings are ours."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        Report.assertions, Report.failures, answer = 0, [], None
        try:
            os.close(read)
            try:
                answer = function(*parameters)
            except BaseException as error:
                Report.failures.append('%s: %s' % (type(error).__name__, traceback.format_exc()[-600:]))
            with os.fdopen(write, 'w') as pipe:
                json.dump([Report.assertions, Report.failures, answer], pipe)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    assertions, failures, answer = json.loads(said) if said else (0, ['the child ended without a word'], None)
    Report.assertions += assertions
    Report.failures += failures
    return answer


def as_user(user, function, *parameters, groups=(), umask=None):
    """Runs a function as another user, in a child process, with these supplementary groups."""
    def become():
        os.setgroups(list(groups))
        os.setresgid(user[1], user[1], user[1])
        os.setresuid(user[0], user[0], user[0])
        if umask is not None:
            os.umask(umask)
        return function(*parameters)
    return in_child(become)


def expect_as(user, wanted, function, *parameters, groups=(), **named):
    """`expect` as another user."""
    Report.assertions += 1
    got = as_user(user, lambda: outcome(function, *parameters, **named), groups=groups)
    if got not in wanted.split('|'):
        name = getattr(function, '__name__', str(function))
        fail('%s%s as %s is %s, not %s' % (name, shown(parameters), user, got, wanted))


# Files

def create(path, content=b'', mode=0o644, owner=None):
    """A regular file with exactly this mode."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        written = 0
        while written < len(content):
            written += os.write(fd, content[written:])
        if owner is not None:
            os.fchown(fd, *owner)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
    return path


def directory(path, mode=0o755, owner=None):
    """A directory with exactly this mode."""
    os.mkdir(path)
    if owner is not None:
        os.chown(path, *owner)
    os.chmod(path, mode)
    return path


def content(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_all(fd)
    finally:
        os.close(fd)


def read_all(fd):
    pieces = []
    while piece := os.read(fd, 1 << 20):
        pieces.append(piece)
    return b''.join(pieces)


def open_close(path, flags, mode=0o644):
    os.close(os.open(path, flags, mode))


def exists(path):
    return os.path.lexists(path)


def mode_of(path):
    return os.lstat(path).st_mode & 0o7777


#: How to make each type of file, and what it is called.
MAKERS = {
    'regular': lambda path: create(path),
    'directory': lambda path: os.mkdir(path),
    'symlink': lambda path: os.symlink('anywhere', path),
    'fifo': lambda path: os.mkfifo(path),
    'socket': lambda path: os.mknod(path, 0o140644),
    'block': lambda path: os.mknod(path, 0o060644, os.makedev(7, 200)),
    'char': lambda path: os.mknod(path, 0o020644, os.makedev(1, 3)),
}

LONGEST_NAME = 'n' * 255
TOO_LONG_NAME = 'n' * 256


def path_of_length(length):
    """A relative path to the working directory's file `x`, of so many bytes."""
    return './' * ((length - 1) // 2) + ('/' if length % 2 == 0 else '') + 'x'


# Times

class Times:
    """Which of a file's times a call moves: `with moves('ctime mtime', path): ...`"""

    def __init__(self, names, path, follow=True):
        self.names, self.path, self.follow = names.split(), path, follow

    def __enter__(self):
        self.before = os.stat(self.path, follow_symlinks=self.follow)
        # The kernel's clock for files may tick only every 4 ms (CONFIG_HZ=250), or 10.
        time.sleep(0.012)

    def __exit__(self, kind, *_):
        if kind:
            return
        after = os.stat(self.path, follow_symlinks=self.follow)
        for name in ('mtime', 'ctime'):
            Report.assertions += 1
            old, new = (getattr(each, 'st_%s_ns' % name) for each in (self.before, after))
            if name in self.names and not new > old:
                fail('%s of %s did not move on' % (name, self.path))
            if name not in self.names and new != old:
                fail('%s of %s moved' % (name, self.path))


def moves(names, path, follow=True):
    return Times(names, path, follow)
