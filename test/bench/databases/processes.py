"""What the workloads have in common: processes that work at the same time, cold caches, and the lines that are printed."""
import multiprocessing
import os
import subprocess
import sys
import time
import traceback

REMOUNT_S = 30
LONGEST_S = 120


def fail(reason):
    print(f'FAIL {reason}', flush=True)
    sys.exit(1)


def check(holds, reason):
    if not holds:
        fail(reason)


def measure(name, unit, number, seconds, prepare):
    """
    `number` processes: each calls prepare(its index), waits for the others, and then calls what it got with 0, 1, … until its
    time is over. Prints operations a second of all of them. Returns how many each did.
    """
    context = multiprocessing.get_context('fork')
    barrier, results = context.Barrier(number), context.Queue()
    processes = [
        context.Process(target=work, args=(index, seconds, prepare, barrier, results)) for index in range(number)
    ]
    for process in processes:
        process.start()
    done = dict(results.get(timeout=LONGEST_S + seconds) for _ in processes)
    for process in processes:
        process.join()
    failure = next((each for each in done.values() if isinstance(each, str)), None)
    if failure:
        fail(f'{name}: {failure}')
    times = [each for starts in done.values() for each in starts]
    latencies = sorted(end - start for start, end in times)
    count, elapsed = len(times), max(end for _, end in times) - min(start for start, _ in times)
    p50, p99 = (latencies[int(count * share)] * 1e6 for share in (0.5, 0.99))
    print(f'{name} {count / elapsed:.1f} {unit} # p50={p50:.0f}us p99={p99:.0f}us', flush=True)
    return [len(done[index]) for index in range(number)]


def work(index, seconds, prepare, barrier, results):
    try:
        operate = prepare(index)
        barrier.wait(LONGEST_S)
        times = []
        end = begin = time.perf_counter()
        while end - begin < seconds:
            start = end
            operate(len(times))
            end = time.perf_counter()
            times.append((start, end))
        results.put((index, times))
    except BaseException as error:
        barrier.abort()
        traceback.print_exc()
        results.put((index, repr(error)))


def make_cold():
    """What is read next comes from where it is stored."""
    os.sync()
    with open('/proc/sys/vm/drop_caches', 'w') as caches:
        caches.write('3')
    command, end = os.environ.get('REMOUNT', ''), time.monotonic() + REMOUNT_S
    while command:
        outcome = subprocess.run(command, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if outcome.returncode == 0:
            return
        if time.monotonic() > end:
            fail(f'it could not be mounted anew: {outcome.stderr.decode()[-400:]!r}')
        time.sleep(0.1)
