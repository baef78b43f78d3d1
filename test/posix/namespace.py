"""namespace.py --seed N --ops N [--processes N] DIRECTORY [SAME_DIRECTORY_ON_SECOND_MOUNT]

Several processes change one tree at once, each by random operations: create, append, link, symlink, mkdir, rename (also
over what is there, RENAME_NOREPLACE and RENAME_EXCHANGE), unlink, rmdir. Each has a directory and names in a shared one
that are its own; it keeps a model of them, from which it knows what each operation must answer, and compares what is
there at times and at the end. All fight for a few names more, of which the balance is kept. With a second mount each
operation is by one of both. Prints "same", or what differs first, with the last operations.
"""
import argparse
import collections
import errno
import os
import random
import shutil
import stat
import sys

sys.dont_write_bytecode = True
from syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2

HISTORY = 25
NAMES = 12
CONTENDED = 5


class Differs(Exception):
    pass


class Node:
    def __init__(self, kind, content=b''):
        self.kind = kind
        self.content = content
        self.children = {} if kind == 'directory' else None
        self.links = 1


class Worker:
    def __init__(self, number, seed, mounts):
        self.number = number
        self.random = random.Random('%d/%d' % (seed, number))
        self.mounts = mounts
        self.own = Node('directory')
        # Only the names that are ours.
        self.shared = Node('directory')
        self.roots = {'p%d' % number: self.own, 'shared': self.shared}
        self.history = collections.deque(maxlen=HISTORY)
        self.balance = 0
        self.step = 0

    def run(self, count):
        actions = {
            self.create: 14, self.append: 8, self.link: 10, self.symlink: 5, self.mkdir: 10, self.rename: 22, self.unlink: 12,
            self.rmdir: 6, self.look: 8, self.contend: 8, self.compare: 1,
        }
        for self.step in range(count):
            self.random.choices(list(actions), list(actions.values()))[0]()
        for mount in self.mounts:
            self.compare(mount)

    # Where

    def place(self):
        """A directory of the model, its path, and a name in it that is ours, there or not."""
        path = self.random.choice(list(self.roots))
        node, depth = self.roots[path], 0
        while self.random.random() < 0.6 and depth < 5:
            deeper = [name for name, child in node.children.items() if child.kind == 'directory']
            if not deeper:
                break
            name = self.random.choice(sorted(deeper))
            node, path, depth = node.children[name], path + '/' + name, depth + 1
        known = sorted(node.children)
        if known and self.random.random() < 0.6:
            return node, path, self.random.choice(known)
        return node, path, '%d-%d' % (self.number, self.random.randrange(NAMES))

    def file(self):
        """A place with a file in it, when there is one nearby."""
        for _ in range(4):
            node, path, name = self.place()
            if name in node.children and node.children[name].kind == 'file':
                break
        return node, path, name

    def at(self, path, mount=None):
        return os.path.join(mount or self.random.choice(self.mounts), path)

    # What

    def expect(self, wanted, what, call, *paths):
        """Does it, and compares how it ends: with 'ok', or one of these errnos. Whether it was done."""
        actual = [self.at(path) for path in paths]
        try:
            call(*actual)
            got = 'ok'
        except OSError as error:
            got = errno.errorcode[error.errno]
        self.history.append('%6d %s %s: %s' % (self.step, what, ' '.join(actual), got))
        if got not in wanted.split('|'):
            raise Differs('%s %s is %s, not %s' % (what, ' '.join(actual), got, wanted))
        return got == 'ok'

    def create(self):
        node, path, name = self.place()
        content = self.random.randbytes(self.random.choice([0, 10, 5000]))

        def call(path):
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            os.write(fd, content)
            os.close(fd)
        if self.expect('EEXIST' if name in node.children else 'ok', 'create', call, path + '/' + name):
            node.children[name] = Node('file', content)

    def append(self):
        node, path, name = self.file()
        child = node.children.get(name)
        data = self.random.randbytes(20)

        def call(path):
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
            os.write(fd, data)
            os.close(fd)
        wanted = {None: 'ENOENT', 'file': 'ok', 'directory': 'EISDIR', 'symlink': 'ELOOP'}[child and child.kind]
        if self.expect(wanted, 'append', call, path + '/' + name):
            child.content += data

    def link(self):
        source, source_path, old = self.file()
        target, target_path, new = self.place()
        child = source.children.get(old)
        if child is None:
            wanted = 'ENOENT'
        elif new in target.children:
            # Which of two errors comes first is not said.
            wanted = 'EEXIST|EPERM' if child.kind == 'directory' else 'EEXIST'
        else:
            wanted = 'EPERM' if child.kind == 'directory' else 'ok'
        mount = self.random.choice(self.mounts)
        call = lambda old, new: os.link(old, new, follow_symlinks=False)
        if self.expect_here(mount, wanted, 'link', call, source_path + '/' + old, target_path + '/' + new):
            target.children[new] = child
            child.links += 1

    def expect_here(self, mount, wanted, what, call, *paths):
        """`expect`, with all paths by one mount."""
        kept, self.mounts = self.mounts, [mount]
        try:
            return self.expect(wanted, what, call, *paths)
        finally:
            self.mounts = kept

    def symlink(self):
        node, path, name = self.place()
        content = self.random.choice([b'nowhere', b'../x', b't' * 300])
        call = lambda path: os.symlink(content, os.fsencode(path))
        if self.expect('EEXIST' if name in node.children else 'ok', 'symlink', call, path + '/' + name):
            node.children[name] = Node('symlink', content)

    def mkdir(self):
        node, path, name = self.place()
        if self.expect('EEXIST' if name in node.children else 'ok', 'mkdir', os.mkdir, path + '/' + name):
            node.children[name] = Node('directory')

    def unlink(self):
        node, path, name = self.place()
        child = node.children.get(name)
        wanted = 'ENOENT' if child is None else 'EISDIR' if child.kind == 'directory' else 'ok'
        if self.expect(wanted, 'unlink', os.unlink, path + '/' + name):
            del node.children[name]
            child.links -= 1

    def rmdir(self):
        node, path, name = self.place()
        child = node.children.get(name)
        wanted = 'ENOENT' if child is None else 'ENOTDIR' if child.kind != 'directory' else 'ENOTEMPTY' if child.children else 'ok'
        if self.expect(wanted, 'rmdir', os.rmdir, path + '/' + name):
            del node.children[name]

    def rename(self):
        source, source_path, old = self.place()
        target, target_path, new = self.place()
        flags = self.random.choice([0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE])
        moved, replaced = source.children.get(old), target.children.get(new)
        old_path, new_path = source_path + '/' + old, target_path + '/' + new
        wanted = self.rename_outcome(flags, moved, replaced, old_path, new_path)
        mount = self.random.choice(self.mounts)
        what = {0: 'rename', RENAME_NOREPLACE: 'rename, noreplace', RENAME_EXCHANGE: 'exchange'}[flags]
        if not self.expect_here(mount, wanted, what, lambda old, new: renameat2(old, new, flags), old_path, new_path):
            return
        if moved is replaced:
            return
        if flags == RENAME_EXCHANGE:
            source.children[old], target.children[new] = replaced, moved
            return
        del source.children[old]
        target.children[new] = moved
        if replaced is not None:
            replaced.links -= 1

    def rename_outcome(self, flags, moved, replaced, old_path, new_path):
        """What rename(2) says of this; where two errors are due, both."""
        errors = []
        if moved is None:
            errors.append('ENOENT')
        if flags == RENAME_EXCHANGE and replaced is None:
            errors.append('ENOENT')
        if flags == RENAME_NOREPLACE and replaced is not None:
            errors.append('EEXIST')
        if moved is not None and moved.kind == 'directory' and new_path.startswith(old_path + '/'):
            errors.append('EINVAL')
        if old_path.startswith(new_path + '/'):
            errors.append('EINVAL' if flags == RENAME_EXCHANGE else 'ENOTEMPTY')
        if flags == 0 and moved is not None and replaced is not None and moved is not replaced:
            if replaced.kind == 'directory' and moved.kind != 'directory':
                errors.append('EISDIR')
            elif replaced.kind != 'directory' and moved.kind == 'directory':
                errors.append('ENOTDIR')
            elif replaced.kind == 'directory' and replaced.children:
                errors.append('ENOTEMPTY')
        return '|'.join(errors) or 'ok'

    def look(self):
        node, path, name = self.place()
        child = node.children.get(name)
        if child is None:
            self.expect('ENOENT', 'lstat', os.lstat, path + '/' + name)
        else:
            self.compare_node(child, self.at(path + '/' + name))

    def contend(self):
        """One of the names that all fight for. Whoever makes it adds one, whoever removes it takes one."""
        first, second = ('shared/contended-%d' % self.random.randrange(CONTENDED) for _ in range(2))
        action = self.random.randrange(4)
        if action < 2:
            call = lambda path: os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            self.balance += self.expect('ok|EEXIST', 'create', call, first)
        elif action == 2:
            self.balance -= self.expect('ok|ENOENT', 'unlink', os.unlink, first)
        else:
            mount = self.random.choice(self.mounts)
            call = lambda old, new: renameat2(old, new, RENAME_NOREPLACE)
            self.expect_here(mount, 'ok|ENOENT|EEXIST', 'rename, noreplace', call, first, second)

    # Comparing

    def compare(self, mount=None):
        mount = mount or self.random.choice(self.mounts)
        for path, node in self.roots.items():
            self.compare_tree(node, os.path.join(mount, path), path == 'shared')

    def compare_tree(self, node, path, ours_only=False):
        found = [name for name in os.listdir(path) if not ours_only or name.startswith('%d-' % self.number)]
        if sorted(found) != sorted(node.children):
            raise Differs('%s has %s, not %s' % (path, sorted(found), sorted(node.children)))
        for name, child in node.children.items():
            self.compare_node(child, path + '/' + name)
            if child.kind == 'directory':
                self.compare_tree(child, path + '/' + name)

    def compare_node(self, node, path):
        attributes = os.lstat(path)
        kind = {stat.S_IFREG: 'file', stat.S_IFDIR: 'directory', stat.S_IFLNK: 'symlink'}[stat.S_IFMT(attributes.st_mode)]
        if kind != node.kind:
            raise Differs('%s is a %s, not a %s' % (path, kind, node.kind))
        if kind == 'directory':
            links = 2 + sum(child.kind == 'directory' for child in node.children.values())
        else:
            links = node.links
            if attributes.st_size != len(node.content):
                raise Differs('%s has %d bytes, not %d' % (path, attributes.st_size, len(node.content)))
        if attributes.st_nlink != links:
            raise Differs('%s has %d links, not %d' % (path, attributes.st_nlink, links))
        if kind == 'symlink' and os.readlink(os.fsencode(path)) != node.content:
            raise Differs('%s leads elsewhere' % path)
        if kind == 'file':
            with open(path, 'rb') as file:
                if file.read() != node.content:
                    raise Differs('%s has other content' % path)


def work(number, seed, count, mounts, say):
    worker = Worker(number, seed, mounts)
    try:
        worker.run(count)
    except (Differs, OSError) as error:
        print('seed %d, process %d, operation %d: %s\n%s' % (seed, number, worker.step, error, '\n'.join(worker.history)), flush=True)
        return 1
    os.write(say, b'%d\n' % worker.balance)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seed', type=int, required=True)
    parser.add_argument('--ops', type=int, required=True, help='for each process')
    parser.add_argument('--processes', type=int, default=4)
    parser.add_argument('directory')
    parser.add_argument('second', nargs='?')
    options = parser.parse_args()
    top = 'namespace-%d' % os.getpid()
    mounts = [os.path.join(path, top) for path in (options.directory, options.second) if path]
    os.mkdir(mounts[0])
    for name in ['shared'] + ['p%d' % number for number in range(options.processes)]:
        os.mkdir(os.path.join(mounts[0], name))
    said, say = os.pipe()
    children = []
    for number in range(options.processes):
        pid = os.fork()
        if pid == 0:
            code = 2
            try:
                code = work(number, options.seed, options.ops, mounts, say)
            finally:
                os._exit(code)
        children.append(pid)
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    os.close(say)
    if failed:
        return 1
    with os.fdopen(said) as pipe:
        balance = sum(int(line) for line in pipe)
    for mount in mounts:
        there = sum(name.startswith('contended-') for name in os.listdir(os.path.join(mount, 'shared')))
        if there != balance:
            print('seed %d: %d of the contended names are in %s, not %d' % (options.seed, there, mount, balance))
            return 1
    shutil.rmtree(mounts[0])
    print('same')
    return 0


sys.exit(main())
