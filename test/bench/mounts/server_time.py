"""server_time.py --servers PID,PID [--files N] [--seconds N] MOUNT ...

Measures the processor time that a metadata server takes for one operation on a small file: the first mount works, and
twice a second one of the others, in turn, makes and removes a small file.

Prints lines `cpu-NAME@MOUNTS VALUE µs/op # ops/s=N`.
"""
import argparse
import itertools
import multiprocessing
import os
import shutil
import sys
import time

DIRECTORIES = 20
CONTENT = b'x' * 4096
#: How long a mount may keep changes to itself.
SETTLE_S = 1.2
PAUSE_S = 0.5


def processor_seconds(pids):
    """What all threads of these processes have taken; /proc/PID/stat only has steps of 10 ms."""
    total = 0
    for pid in pids:
        for thread in os.listdir(f'/proc/{pid}/task'):
            try:
                with open(f'/proc/{pid}/task/{thread}/schedstat') as file:
                    total += int(file.read().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return total / 1e9


def work_now_and_then(mounts, stop):
    for index, mount in enumerate(itertools.cycle(mounts)):
        if stop.wait(PAUSE_S):
            break
        path = f'{mount}/server-time/others/{index % len(mounts)}'
        with open(path, 'wb', 0) as file:
            file.write(CONTENT)
        os.stat(path)
        os.unlink(path)


class ServerTime:
    def __init__(self, options):
        self.pids = [int(pid) for pid in options.servers.split(',')]
        self.mounts, self.seconds = len(options.mounts), options.seconds
        top = f'{options.mounts[0]}/server-time'
        self.paths = [f'{top}/{number % DIRECTORIES}/f{number}' for number in range(options.files)]

    def phase(self, name, operation, settle_s=SETTLE_S):
        began, before = time.monotonic(), processor_seconds(self.pids)
        count = 0
        for path in self.paths:
            operation(path)
            count += 1
            if time.monotonic() - began > self.seconds:
                break
        worked = time.monotonic() - began
        self.paths = self.paths[:count]
        time.sleep(settle_s)
        microseconds = (processor_seconds(self.pids) - before) / count * 1e6
        print(f'cpu-{name}@{self.mounts} {microseconds:.4g} µs/op # ops/s={count / worked:.0f}', flush=True)

    def run(self):
        self.phase('create', create)
        self.phase('rename', lambda path: os.rename(path, path + 'r'))
        self.phase('chmod', lambda path: os.chmod(path + 'r', 0o600))
        os.sync()
        with open('/proc/sys/vm/drop_caches', 'w') as file:
            file.write('3')
        self.phase('stat', lambda path: os.stat(path + 'r'), 0)
        self.phase('unlink', lambda path: os.unlink(path + 'r'))


def create(path):
    with open(path, 'wb', 0) as file:
        file.write(CONTENT)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--servers', required=True)
    parser.add_argument('--files', type=int, default=4000)
    parser.add_argument('--seconds', type=float, default=3, help='of a phase, at the most')
    parser.add_argument('mounts', nargs='+')
    options = parser.parse_args()
    top = f'{options.mounts[0]}/server-time'
    for name in ('', '/others', *(f'/{number}' for number in range(DIRECTORIES))):
        os.mkdir(top + name)
    stop = multiprocessing.Event()
    others = multiprocessing.Process(target=work_now_and_then, args=(options.mounts[1:], stop), daemon=True)
    # MooseFS's mounts keep for a second that a name is not there.
    time.sleep(1.2)
    others.start()
    try:
        ServerTime(options).run()
    finally:
        stop.set()
        others.join(30)
    shutil.rmtree(top)
    # A server whose other users failed was not measured under the load that the result claims.
    return 0 if others.exitcode == 0 else 1


sys.exit(main())
