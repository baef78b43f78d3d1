"""overlay.py DIRECTORY REFERENCE OPTIONS: builds the layers of an image with an overlay file system.

Every layer's upper and work directory is in DIRECTORY; the same is done to REFERENCE, a directory of another file system, and
both have to look alike after each layer, also when all of them are mounted again read-only. Says `alike` at the end, or what
is different. OPTIONS are those of `mount -t overlay`, comma-separated, or `-`.
"""
import hashlib
import os
import shutil
import subprocess
import sys

ATTRIBUTE = 'user.origin'


def write(root, path, content, mode=0o644):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, 'wb') as file:
        file.write(content)
    os.chmod(full, mode)


def base(root):
    """What a distribution's root looks like, in small."""
    for index in range(60):
        write(root, 'usr/lib/lib%d.so' % index, bytes([index]) * (index * 400), 0o755 if index % 2 else 0o644)
    for name in ('passwd', 'group', 'hosts', 'removed', 'appended'):
        write(root, 'etc/' + name, name.encode() * 10)
    for name in ('a', 'b', 'c'):
        write(root, 'var/cache/%s/file' % name, name.encode())
    write(root, 'opt/tool/bin/tool', b'#!/bin/sh\n', 0o755)
    os.symlink('../lib/lib1.so', os.path.join(root, 'usr/lib/link'))
    os.mkfifo(os.path.join(root, 'run'), 0o600)
    os.setxattr(os.path.join(root, 'etc/passwd'), ATTRIBUTE, b'base')


def upgrade(root):
    """Replaces files by renaming, as package managers do, changes some in place, and removes some."""
    for index in range(0, 60, 3):
        path = 'usr/lib/lib%d.so' % index
        write(root, path + '.new', b'upgraded %d' % index, 0o755)
        os.rename(os.path.join(root, path + '.new'), os.path.join(root, path))
    os.unlink(os.path.join(root, 'etc/removed'))
    with open(os.path.join(root, 'etc/appended'), 'ab') as file:
        file.write(b'more')
    os.truncate(os.path.join(root, 'etc/group'), 5)
    os.chmod(os.path.join(root, 'opt/tool/bin/tool'), 0o700)
    os.chown(os.path.join(root, 'etc/hosts'), 0, 0)
    os.rename(os.path.join(root, 'etc/hosts'), os.path.join(root, 'etc/hosts.old'))
    os.setxattr(os.path.join(root, 'etc/passwd'), ATTRIBUTE, b'upgrade')
    os.link(os.path.join(root, 'etc/passwd'), os.path.join(root, 'etc/passwd-'))


def clean(root):
    """Whole directories go, come back otherwise, and are moved."""
    shutil.rmtree(os.path.join(root, 'var/cache/a'))
    shutil.rmtree(os.path.join(root, 'var/cache/b'))
    write(root, 'var/cache/b/other', b'new')
    os.unlink(os.path.join(root, 'usr/lib/link'))
    os.symlink('lib2.so', os.path.join(root, 'usr/lib/link'))
    os.unlink(os.path.join(root, 'run'))
    write(root, 'run', b'a file now')
    move(os.path.join(root, 'opt/tool'), os.path.join(root, 'opt/renamed'))
    write(root, 'etc/removed', b'back again')
    unnamed = os.open(os.path.join(root, 'etc'), os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(unnamed, b'had no name')
    os.link('/proc/self/fd/%d' % unnamed, os.path.join(root, 'etc/named'), src_dir_fd=unnamed)
    os.close(unnamed)


def move(old, new):
    """A directory of a lower layer may be EXDEV, whereupon programs copy it (rename(2))."""
    try:
        os.rename(old, new)
    except OSError as error:
        if error.errno != 18:
            raise
        shutil.copytree(old, new, symlinks=True)
        shutil.rmtree(old)


def looks(root):
    """What there is below a directory, and how it is."""
    found = {}
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(directory, name)
            stat = os.lstat(path)
            what = ''
            kind = stat.st_mode >> 12
            if kind == 8:
                with open(path, 'rb') as file:
                    what = hashlib.sha256(file.read()).hexdigest()
            elif kind == 10:
                what = os.readlink(path)
            size = stat.st_size if kind == 8 else 0
            xattrs = [each for each in os.listxattr(path, follow_symlinks=False) if each == ATTRIBUTE]
            values = [os.getxattr(path, each, follow_symlinks=False) for each in xattrs]
            found[os.path.relpath(path, root)] = (oct(stat.st_mode), stat.st_uid, stat.st_gid, size, what, values)
    return found


def compare(what, root, reference):
    ours, wanted = looks(root), looks(reference)
    for path in sorted(ours.keys() | wanted.keys()):
        if ours.get(path) != wanted.get(path):
            sys.exit('%s: %s is %s, not %s' % (what, path, ours.get(path), wanted.get(path)))


def mounted(directory, options, work):
    """Does `work` while an overlay is mounted at a directory."""
    subprocess.run(['mount', '-t', 'overlay', 'overlay', '-o', ','.join(options), directory], check=True)
    try:
        work()
    finally:
        subprocess.run(['umount', directory], check=True)


def main(directory, reference, given):
    given = [] if given == '-' else given.split(',')
    merged = os.path.join(directory, 'merged')
    lowers = [os.path.join(directory, 'empty')]
    for path in (merged, lowers[0]):
        os.mkdir(path)
    for layer in (base, upgrade, clean):
        upper, work = (os.path.join(directory, layer.__name__ + end) for end in ('', '.work'))
        os.mkdir(upper)
        os.mkdir(work)
        layer(reference)

        def change():
            layer(merged)
            compare(layer.__name__, merged, reference)
        mounted(merged, ['lowerdir=' + ':'.join(lowers), 'upperdir=' + upper, 'workdir=' + work] + given, change)
        lowers.insert(0, upper)
        again = layer.__name__ + ', mounted again'
        mounted(merged, ['lowerdir=' + ':'.join(lowers), 'ro'] + given, lambda: compare(again, merged, reference))
    print('alike')


main(*sys.argv[1:])
