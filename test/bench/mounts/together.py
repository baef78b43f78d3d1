"""together.py [--files N] [--megabytes N] [--seconds N] MOUNT ...

Measures several mounts of one cluster that work at the same time. Each mount gets a process of its own; all processes
begin each phase together, and end it when all is done or its time is over. A speed is the sum over the mounts: what all
of them did, by the time of the slowest.

  create … seq-write   each mount in a directory of its own, as people on several machines work
  shared-*             all mounts in one directory, and appending to one file
  handoff-*            the first mount writes small files and renames them into place, the second waits for each and reads it

Prints lines `NAME@MOUNTS VALUE UNIT [# lost=N]`; a line `FAIL …` and exit code 1 when something reads back otherwise than it was written.
"""
import argparse
import multiprocessing
import os
import shutil
import sys
import time
import traceback

CONTENT = os.urandom(4096)
BLOCK = os.urandom(1 << 20)
DIRECTORIES = 10
LISTINGS = 3
HANDOFFS = 100
LONGEST_S = 900


class Worker:
    """What one mount does."""

    def __init__(self, index, options, barrier):
        self.index, self.barrier, self.seconds = index, barrier, options.seconds
        self.files, self.megabytes, self.mount = options.files, options.megabytes, options.mounts[index]
        self.top = f'{self.mount}/together/own{index}'
        self.shared = f'{self.mount}/together/shared'
        self.log = f'{self.mount}/together/log'
        self.paths = [f'{self.top}/d{number % DIRECTORIES}/f{number}' for number in range(self.files)]
        self.results = []

    def run(self):
        os.makedirs(self.top)
        for number in range(DIRECTORIES):
            os.mkdir(f'{self.top}/d{number}')
        created = self.phase('create', 'files/s', self.paths, create)
        self.phase('stat', 'files/s', created, os.stat)
        self.phase('read', 'files/s', created, read_back)
        self.phase('rewrite', 'files/s', created[:self.files // 2], rewrite)
        renamed = self.phase('rename', 'ops/s', created, lambda path: os.rename(path, path + '.r'))
        self.phase('unlink', 'ops/s', renamed, lambda path: os.unlink(path + '.r'))
        self.write_large()
        if self.barrier.parties == 1:
            return self.results
        names = [f'{self.shared}/m{self.index}-{number}' for number in range(self.files // 2)]
        self.phase('shared-create', 'files/s', names, create)
        self.phase('shared-list', 'ops/s', range(LISTINGS), self.list_shared)
        self.append()
        if self.index == 0:
            self.hand_over()
        if self.index == 1:
            self.take_over()
        self.barrier.wait()
        return self.results

    def phase(self, name, unit, items, operation, weight=1):
        """Does something with each item until the time is over; returns the items of which it is done."""
        self.barrier.wait()
        began = time.perf_counter()
        done = 0
        for item in items:
            operation(item)
            done += 1
            if time.perf_counter() - began > self.seconds:
                break
        self.results.append((name, unit, done * weight, time.perf_counter() - began))
        self.barrier.wait()
        return items[:done]

    def write_large(self):
        fd = os.open(f'{self.top}/large', os.O_CREAT | os.O_WRONLY, 0o644)
        last = self.megabytes - 1

        def write(number):
            os.write(fd, BLOCK)
            if number == last:
                os.close(fd)
        if len(self.phase('seq-write', 'MB/s', range(self.megabytes), write, 1.048576)) < self.megabytes:
            os.close(fd)

    def list_shared(self, _):
        with os.scandir(self.shared) as entries:
            for entry in entries:
                entry.stat()

    def append(self):
        fd = os.open(self.log, os.O_WRONLY | os.O_APPEND)
        line = b'%03d %08d line of a log\n'
        numbers = range(self.files // 4)
        appended = self.phase('shared-append', 'ops/s', numbers, lambda number: os.write(fd, line % (self.index, number)))
        os.close(fd)
        self.results.append(('appended', None, len(appended), 0))
        self.barrier.wait()
        if self.index == 0:
            with open(self.log, 'rb') as log:
                self.results.append(('appended', None, -sum(1 for _ in log), 0))

    def hand_over(self):
        for number in range(HANDOFFS):
            name = f'{self.mount}/together/hand/{number}'
            with open(name + '.new', 'wb', 0) as file:
                file.write(str(time.time()).encode())
            os.rename(name + '.new', name)
            self.wait_for(name + '.taken')

    def take_over(self):
        latencies = []
        for number in range(HANDOFFS):
            name = f'{self.mount}/together/hand/{number}'
            self.wait_for(name)
            with open(name) as file:
                latencies.append((time.time() - float(file.read())) * 1000)
            open(name + '.taken', 'w').close()
        latencies.sort()
        for share in (50, 95):
            self.results.append((f'handoff-p{share}', 'ms', latencies[HANDOFFS * share // 100], None))

    def wait_for(self, path):
        deadline = time.monotonic() + LONGEST_S
        while not os.path.exists(path):
            if time.monotonic() > deadline or self.barrier.broken:
                raise Exception(f'{path} never came')


def create(path):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
    os.write(fd, CONTENT)
    os.close(fd)


def read_back(path):
    with open(path, 'rb', 0) as file:
        if file.read(8192) != CONTENT:
            raise Exception(f'{path} reads back otherwise')


def rewrite(path):
    with open(path, 'r+b', 0) as file:
        file.write(CONTENT)


def work(index, options, barrier, queue):
    try:
        queue.put((Worker(index, options, barrier).run(), None))
    except BaseException:
        barrier.abort()
        queue.put((None, traceback.format_exc()))


def report(results, mounts):
    """Prints a line for each measurement; results has a list for each mount."""
    sums, lost = {}, 0
    for name, unit, count, seconds in (result for each in results for result in each):
        if name == 'appended':
            lost += count
        elif seconds is None:
            sums[name] = (unit, count, 1)
        else:
            _, so_far, slowest = sums.get(name, (unit, 0, 0))
            sums[name] = (unit, so_far + count, max(slowest, seconds))
    for name, (unit, count, seconds) in sums.items():
        note = f' # lost={lost}' if lost and name == 'shared-append' else ''
        print(f'{name}@{mounts} {count / seconds:.4g} {unit}{note}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--files', type=int, default=1000)
    parser.add_argument('--megabytes', type=int, default=128)
    parser.add_argument('--seconds', type=float, default=2, help='of a phase, at the most')
    parser.add_argument('mounts', nargs='+')
    options = parser.parse_args()
    first, count = options.mounts[0], len(options.mounts)
    for name in ('', '/shared', '/hand'):
        os.mkdir(f'{first}/together{name}')
    open(f'{first}/together/log', 'w').close()
    # MooseFS's mounts keep for a second that a name is not there, and hear of no change.
    time.sleep(1.5)
    barrier, queue = multiprocessing.Barrier(count, timeout=LONGEST_S), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, args=(index, options, barrier, queue)) for index in range(count)]
    for worker in workers:
        worker.start()
    answers = [queue.get(timeout=LONGEST_S) for _ in workers]
    for worker in workers:
        worker.join()
    failures = [failure for _, failure in answers if failure is not None]
    if failures:
        # The others only say that the barrier broke.
        real = [failure for failure in failures if 'BrokenBarrierError' not in failure] or failures
        print('FAIL ' + real[0].strip().splitlines()[-1], flush=True)
        return 1
    report([results for results, _ in answers], count)
    shutil.rmtree(f'{first}/together')
    return 0


sys.exit(main())
