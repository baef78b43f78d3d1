"""System calls of Linux that Python's os module does not have; all raise OSError."""
import ctypes
import os
import struct

libc = ctypes.CDLL(None, use_errno=True)

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x100, 0x400, 0x1000
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
KEEP_SIZE, PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE, INSERT_RANGE = 1, 2, 8, 16, 32
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
FLOCK = 'hhqqi4x'


def called(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def renameat2(old, new, flags):
    return called(libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), ctypes.c_uint(flags)))


def linkat(old_fd, old, new, flags):
    return called(libc.linkat(old_fd, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))


def fallocate(fd, mode, offset, length):
    return called(libc.fallocate(fd, mode, ctypes.c_longlong(offset), ctypes.c_longlong(length)))


def utimensat(path, times, flags=0, fd=AT_FDCWD):
    """`times` is two pairs of seconds and nanoseconds, or None; `path` None means the file open as `fd`."""
    spec = struct.pack('4q', *times[0], *times[1]) if times is not None else None
    return called(libc.utimensat(fd, None if path is None else os.fsencode(path), spec, flags))


def syncfs(fd):
    return called(libc.syncfs(fd))


def pathconf_name_max(path):
    return os.pathconf(path, 'PC_NAME_MAX')
