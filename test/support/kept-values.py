"""Values at the borders of what a file system takes, each in a file of its own.

    kept-values.py apply DIRECTORY SEED    does everything; prints what was refused, and what stat(2) shows, as JSON
    kept-values.py show DIRECTORY          prints what is there, in the same form
"""

import errno
import hashlib
import json
import os
import random
import stat
import sys

TIME_MIN, TIME_MAX = -(2**31), 2**34 - 1 - 2**31
SECONDS = [0, 1, -1, 2**31 - 1, 2**31, 2**32, TIME_MAX - 1, TIME_MAX, TIME_MAX + 1, TIME_MIN, TIME_MIN + 1, TIME_MIN - 1]
SECONDS += [67768036191676799, 2**53, 2**62 // 10**9, -67768040609740800]
NANOSECONDS = [0, 1, 999_999_999]
MAX_FILE = 2**53 - 1


def write(path, data=b"content\n"):
    with open(path, "wb", buffering=0) as file:
        file.write(data)


def set_time(path, seconds, nanoseconds):
    write(path)
    os.utime(path, ns=(seconds * 10**9 + nanoseconds, seconds * 10**9 + nanoseconds))


def set_open_time(path, seconds):
    """As cp -p does it: by the handle, of bytes that are not committed yet."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"preserved\n")
    os.utime(descriptor, ns=(seconds * 10**9, seconds * 10**9))
    os.close(descriptor)


def touched_and_written(path, seconds):
    """The last write decides, whatever time the file was given before."""
    set_time(path, seconds, 0)
    with open(path, "ab", buffering=0) as file:
        file.write(b"more\n")


def written_at(path, offset):
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        os.pwrite(descriptor, b"far", offset)
    finally:
        os.close(descriptor)


def long_chain(directory, depth):
    here = directory
    for index in range(depth):
        here = os.path.join(here, "d")
        os.mkdir(here)
    write(os.path.join(here, "leaf"))


def with_mode(path, mode):
    write(path)
    os.chmod(path, mode)


def owned(path, uid, gid):
    write(path)
    os.chown(path, uid, gid)


def truncated(path, size):
    write(path)
    os.truncate(path, size)


def with_xattr(path, name, size):
    write(path)
    os.setxattr(path, name, b"v" * size)


def with_many_xattrs(path, count):
    write(path)
    for index in range(count):
        os.setxattr(path, "user." + str(index).rjust(200, "n"), b"v")


def renamed(directory, name):
    path = os.path.join(directory, "to-be-renamed")
    write(path)
    os.rename(path, os.path.join(directory, name))


def trials(directory, seed):
    chance = random.Random(seed)
    at = lambda name: os.path.join(directory, name)
    all_of_them = []
    add = lambda name, function, *rest: all_of_them.append((name, function, rest))
    for index, seconds in enumerate(SECONDS):
        add(f"time {seconds}", set_time, at(f"time{index}"), seconds, chance.choice(NANOSECONDS))
        add(f"open time {seconds}", set_open_time, at(f"open-time{index}"), seconds)
        add(f"time {seconds}, then written", touched_and_written, at(f"rewritten{index}"), seconds)
    for length in [1, 254, 255, 256, 1023, 1024, 4095]:
        add(f"name of {length}", write, at("n" * length))
        add(f"directory of {length}", os.mkdir, at("m" * length))
        add(f"rename to {length}", renamed, directory, "r" * length)
        add(f"symlink to {length}", os.symlink, "t" * length, at(f"symlink{length}"))
        add(f"symlink named {length}", os.symlink, "t", at("s" * length))
    add("a name that is no text", write, os.fsencode(directory) + b"/\xff\xfe\x01")
    add("symlink to nothing", os.symlink, "", at("symlink0"))
    for mode in [0, 0o7777, 0o6755, 0o1777, 0o177777]:
        add(f"mode {mode:o}", with_mode, at(f"mode{mode:o}"), mode)
        add(f"directory mode {mode:o}", lambda path, given: (os.mkdir(path), os.chmod(path, given)), at(f"dir{mode:o}"), mode)
    for kind in [0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR, stat.S_IFLNK, 0o130000]:
        add(f"mknod {kind:o}", os.mknod, at(f"node{kind:o}"), kind | 0o644, os.makedev(0xFFF, 0xFFFFF))
    for number in [0, 1, 65534, 2**31, 2**32 - 2, -1]:
        add(f"owner {number}", owned, at(f"owner{number}"), number, number)
    for size in [0, 1, 2**31, 2**32, 2**40, MAX_FILE]:
        add(f"size {size}", truncated, at(f"size{size}"), size)
    for size in [MAX_FILE + 1, 2**63 - 1]:
        add(f"size {size}", truncated, at(f"size{size}"), size)
    for offset in [0, 2**32, 2**40, MAX_FILE - 3]:
        add(f"written at {offset}", written_at, at(f"at{offset}"), offset)
    for offset in [MAX_FILE - 2, MAX_FILE, 2**63 - 1 - 8]:
        add(f"written at {offset}", written_at, at(f"at{offset}"), offset)
    for size in [0, 1, 4000]:
        add(f"attribute of {size}", with_xattr, at(f"attribute{size}"), "user.value", size)
    add("attribute of 65537", with_xattr, at("attribute65537"), "user.value", 65537)
    for name in ["user.", "user." + "n" * 250, "user." + "n" * 251, "none.such"]:
        add(f"attribute named {len(name)} {name[:5]}", with_xattr, at(f"named{len(name)}{name[:4]}"), name, 1)
    add("directories in one another", long_chain, at("."), chance.randint(40, 60))
    add("a link to a directory", os.link, at("dir0"), at("hard"))
    add("removed twice", os.unlink, at("none"))
    chance.shuffle(all_of_them)
    return all_of_them


def facts(path):
    found = os.lstat(path)
    told = {
        "size": found.st_size,
        "mode": found.st_mode,
        "owner": [found.st_uid, found.st_gid],
        "links": found.st_nlink,
        "rdev": found.st_rdev,
        "mtime": found.st_mtime_ns,
        "ctime": found.st_ctime_ns,
    }
    if not stat.S_ISLNK(found.st_mode):
        told["attributes"] = sorted(os.listxattr(path))
    if stat.S_ISREG(found.st_mode) and found.st_size < 2**20:
        with open(path, "rb") as file:
            told["content"] = hashlib.sha256(file.read()).hexdigest()
    if stat.S_ISLNK(found.st_mode):
        told["target"] = os.readlink(path)
    return told


def show(directory):
    there = {".": facts(directory)}
    for parent, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(parent, name)
            there[os.fsencode(os.path.relpath(path, directory)).hex()] = facts(path)
    return there


def main():
    directory = sys.argv[2]
    refused = {}
    if sys.argv[1] == "apply":
        for name, function, rest in trials(directory, int(sys.argv[3])):
            try:
                function(*rest)
                refused[name] = "done"
            except OSError as error:
                refused[name] = errno.errorcode[error.errno]
    print(json.dumps({"refused": refused, "there": show(directory)}))


main()
