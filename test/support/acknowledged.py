#!/usr/bin/env python3
"""Changes files on a mount and, once a change is acknowledged, makes the same change in a mirror on the local disk.

    acknowledged.py run MOUNTED MIRROR STATE SEED RUN    in directory RUN, until STATE/stop exists; STATE/count is how many were acknowledged
    acknowledged.py check MOUNTED MIRROR STATE    MOUNTED holds what MIRROR does; says how many files, or what is wrong

Every change ends with close(2) or fsync(2). One that failed may have happened, or not, or half of it: its names are noted
in STATE/uncertain and never used again; so may everything that was not fsynced in the second before it, for a mount that
was killed had perhaps not told anybody yet. A program on a local disk would see no failure; one whose mount was killed does.
"""
import os, random, sys, time

MAX_BYTES = 300_000
MAX_FILES = 60
RETRY_S = 0.05
UNSENT_S = 1


def content(rng, size):
    return rng.randbytes(size)


class Load:
    def __init__(self, mounted, mirror, state, seed, run):
        self.roots = (mounted, mirror)
        self.state = state
        self.rng = random.Random(seed + run)
        self.directory = run
        self.files = []
        self.made = 0
        self.count = 0
        # What was acknowledged lately and not fsynced: (when, names).
        self.recent = []
        self.failures = open(os.path.join(state, 'failures'), 'a')

    def fresh(self):
        self.made += 1
        return '%s/d%d/f%d' % (self.directory, self.made % 3, self.made)

    def change(self):
        """One change: (names, what to do in a root, whether it is fsynced)."""
        rng = self.rng
        kind = rng.choice('create create write write append truncate rename unlink replace'.split())
        if len(self.files) < 5:
            kind = 'create'
        elif len(self.files) > MAX_FILES:
            kind = 'unlink'
        is_synced = rng.random() < 0.5
        data = content(rng, rng.randrange(1, MAX_BYTES if rng.random() < 0.3 else 9000))
        name = rng.choice(self.files) if kind != 'create' else self.fresh()
        if kind == 'create':
            return [name], lambda root: put(root, name, os.O_CREAT | os.O_EXCL, data, 0, is_synced), is_synced
        if kind == 'write':
            at = rng.randrange(0, MAX_BYTES // 2)
            return [name], lambda root: put(root, name, 0, data, at, is_synced), is_synced
        if kind == 'append':
            return [name], lambda root: put(root, name, os.O_APPEND, data, None, is_synced), is_synced
        if kind == 'truncate':
            size = rng.randrange(0, MAX_BYTES)
            return [name], lambda root: os.truncate(os.path.join(root, name), size), False
        if kind == 'unlink':
            return [name], lambda root: os.unlink(os.path.join(root, name)), False
        if kind == 'replace':
            # As editors do: all of it, under another name, renamed onto the old one.
            new = self.fresh()

            def replace(root):
                put(root, new, os.O_CREAT | os.O_EXCL, data, 0, True)
                os.rename(os.path.join(root, new), os.path.join(root, name))

            return [new, name], replace, False
        target = self.fresh()
        return [name, target], lambda root: os.rename(os.path.join(root, name), os.path.join(root, target)), False

    def one(self):
        names, act, is_synced = self.change()
        mounted, mirror = self.roots
        began = time.monotonic()
        self.recent = [(when, recent) for when, recent in self.recent if when > began - UNSENT_S]
        try:
            act(mounted)
        except OSError as e:
            self.failures.write('%s: %s\n' % (' '.join(names), e))
            self.failures.flush()
            with open(os.path.join(self.state, 'uncertain'), 'a') as f:
                # A mount that was killed takes its last second with it.
                names = names + [name for _, recent in self.recent for name in recent]
                f.write(''.join(name + '\n' for name in names))
            self.recent = []
            for name in names:
                if name in self.files:
                    self.files.remove(name)
            time.sleep(RETRY_S)
            return
        act(mirror)
        if not is_synced:
            self.recent.append((time.monotonic(), names))
        self.files = [n for n in self.files if n not in names]
        self.files += [n for n in names if os.path.exists(os.path.join(mirror, n))]
        self.count += 1
        with open(os.path.join(self.state, 'count.new'), 'w') as f:
            f.write(str(self.count))
        os.rename(os.path.join(self.state, 'count.new'), os.path.join(self.state, 'count'))

    def run(self):
        for root in self.roots:
            for directory in range(3):
                os.makedirs(os.path.join(root, self.directory, 'd%d' % directory), exist_ok=True)
        while not os.path.exists(os.path.join(self.state, 'stop')):
            self.one()


def put(root, name, flags, data, at, is_synced):
    fd = os.open(os.path.join(root, name), os.O_WRONLY | flags, 0o644)
    try:
        if at is None:
            os.write(fd, data)
        else:
            os.pwrite(fd, data, at)
        if is_synced:
            os.fsync(fd)
    finally:
        os.close(fd)


def names_in(root):
    return {
        os.path.relpath(os.path.join(directory, name), root)
        for directory, _, names in os.walk(root, onerror=fail)
        for name in names
    }


def fail(error):
    raise error


def check(mounted, mirror, state):
    path = os.path.join(state, 'uncertain')
    uncertain = set(open(path).read().split()) if os.path.exists(path) else set()
    expected = names_in(mirror) - uncertain
    found = names_in(mounted) - uncertain
    wrong = ['%s is lost' % name for name in sorted(expected - found)]
    wrong += ['%s is there again' % name for name in sorted(found - expected)]
    for name in sorted(expected & found):
        with open(os.path.join(mirror, name), 'rb') as f, open(os.path.join(mounted, name), 'rb') as g:
            a, b = f.read(), g.read()
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            wrong.append('%s differs from byte %d on (%d bytes, %d expected)' % (name, at, len(b), len(a)))
    if wrong:
        sys.exit('\n'.join(wrong[:20]))
    print(len(expected))


if __name__ == '__main__':
    if sys.argv[1] == 'run':
        Load(*sys.argv[2:7]).run()
    else:
        check(*sys.argv[2:5])
