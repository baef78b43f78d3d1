"""Programs on two mounts that rely on the promise: `write` returned: every mount sees it."""
import fcntl
import json
import os
import random
import sqlite3
import subprocess
import time
from harness import *
from two_mounts import *


@case('tail -f on one mount prints what the other appends, each line at once, also after copytruncate', 'tail(1), logrotate(8)')
def _():
    log = os.open('log', os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    tail = subprocess.Popen(['tail', '---disable-inotify', '-s', '0.05', '-c', '+1', '-f', there('log')],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    os.set_blocking(tail.stdout.fileno(), False)
    size = 0

    def printed(expected):
        got, deadline = b'', time.monotonic() + 5
        while got != expected and time.monotonic() < deadline:
            got += tail.stdout.read() or b''
            time.sleep(0.01)
        if got != expected:
            raise Exception('tail printed %r, not %r' % (got, expected))
    try:
        for number in range(20):
            line = b'entry %d ' % number + b'x' * random.randrange(900) + b'\n'
            os.write(log, line)
            size += len(line)
            equal(os.stat(there('log')).st_size, size, 'the size after entry %d' % number)
            printed(line)
        os.truncate('log', 0)
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            # tail looks twice before it can take the shorter file for a new one.
            time.sleep(0.05)
        os.write(log, b'fresh\n')
        printed(b'fresh\n')
    finally:
        tail.kill()
        tail.wait()


#: What SQLite says when it cannot have its locks.
REFUSALS = {'database is locked', 'locking protocol'}


def insert_rows(path, number, count, mode):
    """Rows that were acknowledged; SQLite may refuse any of them."""
    acknowledged, refused = [], []
    deadline = time.monotonic() + 25
    for row in range(count):
        try:
            connection = sqlite3.connect(path, timeout=20, isolation_level=None)
            try:
                connection.execute('PRAGMA journal_mode=' + mode)
                connection.execute('BEGIN IMMEDIATE')
                connection.execute('INSERT INTO t VALUES (?, ?, ?)', (number, row, 'x' * (row * 53 % 3000)))
                connection.execute('UPDATE sum SET n = n + 1')
                connection.execute('COMMIT')
                acknowledged.append(row)
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            refused.append(str(error))
        except sqlite3.DatabaseError as error:
            fail('row %d of process %d: %s' % (row, number, error))
            break
        if time.monotonic() > deadline:
            break
    return acknowledged, refused


def sqlite_on_two_mounts(mode):
    first = sqlite3.connect('db', isolation_level=None)
    first.execute('PRAGMA journal_mode=' + mode)
    first.execute('CREATE TABLE t (process, row, data)')
    first.execute('CREATE TABLE sum (n)')
    first.execute('INSERT INTO sum VALUES (0)')
    first.close()
    pipes = []
    for number in range(2):
        read, write = os.pipe()
        if os.fork() == 0:
            answer = insert_rows(('db', there('db'))[number], number, 40, mode)
            with os.fdopen(write, 'w') as pipe:
                json.dump([*answer, Report.failures], pipe)
            os._exit(0)
        os.close(write)
        pipes.append(os.fdopen(read))
    results = [json.load(pipe) for pipe in pipes]
    total = sum(len(acknowledged) for acknowledged, _, _ in results)
    for number, (acknowledged, _, failures) in enumerate(results):
        equal(failures, [], 'process %d' % number)
        for path in ('db', there('db')):
            connection = sqlite3.connect(path, timeout=10)
            rows = connection.execute('SELECT row FROM t WHERE process = ? ORDER BY rowid', (number,)).fetchall()
            equal([row for row, in rows], acknowledged, 'rows of process %d' % number)
            equal(connection.execute('PRAGMA integrity_check').fetchall(), [('ok',)])
            equal(connection.execute('SELECT n FROM sum').fetchone(), (total,), 'the sum')
            connection.close()
    return results


@case('a SQLite database in rollback mode is written by two mounts: every row that was acknowledged is there', 'sqlite.org/lockingv3.html')
def _():
    results = sqlite_on_two_mounts('DELETE')
    for acknowledged, refused, _ in results:
        equal(refused, [], 'refused')
        equal(len(acknowledged) > 5, True, 'rows went in')


@case('a SQLite database in WAL mode that two mounts write is damaged by neither: the other one is refused', 'sqlite.org/wal.html')
def _():
    results = sqlite_on_two_mounts('WAL')
    for _, refused, _ in results:
        equal(set(refused) - REFUSALS, set(), 'refused')
    equal(sum(len(acknowledged) for acknowledged, _, _ in results) > 5, True, 'rows went in')


@case('a SQLite database in WAL mode belongs to the mount that is connected, until it has left', 'sqlite.org/wal.html')
def _():
    ours = [sqlite3.connect('db', timeout=1, isolation_level=None) for _ in range(2)]
    equal(ours[0].execute('PRAGMA journal_mode=WAL').fetchone(), ('wal',))
    ours[0].execute('CREATE TABLE t (n)')
    ours[0].execute('INSERT INTO t VALUES (1)')
    equal(ours[1].execute('SELECT n FROM t').fetchall(), [(1,)], 'a second process of the same mount')
    theirs = sqlite3.connect(there('db'), timeout=0.2, isolation_level=None)
    try:
        fail('another mount reads %r' % theirs.execute('SELECT n FROM t').fetchall())
    except sqlite3.OperationalError as error:
        equal(str(error) in REFUSALS, True, str(error))
    ours[0].close()
    try:
        fail('another mount reads %r' % theirs.execute('SELECT n FROM t').fetchall())
    except sqlite3.OperationalError as error:
        equal(str(error) in REFUSALS, True, str(error))
    ours[1].close()
    equal(theirs.execute('SELECT n FROM t').fetchall(), [(1,)])
    theirs.execute('INSERT INTO t VALUES (2)')
    theirs.close()
    again = sqlite3.connect('db', timeout=1)
    equal(again.execute('SELECT n FROM t').fetchall(), [(1,), (2,)])
    equal(again.execute('PRAGMA integrity_check').fetchall(), [('ok',)])
    again.close()


@case('SQLite reads on one mount what the other has just committed, by connections that stay open', 'sqlite.org/isolation.html')
def _():
    ours, theirs = (sqlite3.connect(path, timeout=10, isolation_level=None) for path in ('db', there('db')))
    ours.execute('CREATE TABLE t (n)')
    for number, (writer, reader) in enumerate([(ours, theirs), (theirs, ours)] * 10):
        writer.execute('INSERT INTO t VALUES (?)', (number,))
        equal(reader.execute('SELECT count(*), max(n) FROM t').fetchone(), (number + 1, number))


# Order

@case('a marker that is seen was preceded by what its maker wrote to another file before it', 'docs/decisions/05')
def _():
    for name in ('data', 'mark'):
        os.mkdir(name)
    pid = os.fork()
    if pid == 0:
        log = os.open('data/log', os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        for number in range(60):
            os.write(log, b'%06d\n' % number)
            os.close(os.open('mark/%d' % number, os.O_CREAT | os.O_WRONLY, 0o644))
        os._exit(0)
    deadline = time.monotonic() + 30
    seen = 0
    while seen < 60 and time.monotonic() < deadline:
        marks = len(os.listdir(there('mark')))
        lines = content(there('data/log')).count(b'\n') if marks else 0
        check(lines >= marks, '%d markers, and %d lines' % (marks, lines))
        seen = marks
    equal(seen, 60)
    os.waitpid(pid, 0)


@case('a counter that two mounts raise under a lock is raised by each, without closing the file', 'fcntl(2): F_SETLKW')
def _():
    os.close(os.open('f', os.O_CREAT | os.O_WRONLY, 0o644))
    os.truncate('f', 8)
    each, children = 60, []
    for path in ('f', there('f')):
        pid = os.fork()
        if pid == 0:
            fd = os.open(path, os.O_RDWR)
            for _ in range(each):
                fcntl.lockf(fd, fcntl.LOCK_EX)
                count = int.from_bytes(os.pread(fd, 8, 0), 'big')
                os.pwrite(fd, (count + 1).to_bytes(8, 'big'), 0)
                fcntl.lockf(fd, fcntl.LOCK_UN)
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    for path in ('f', there('f')):
        equal(int.from_bytes(content(path), 'big'), 2 * each)


@case('a file that is renamed over by the other mount stays what it was for who has it open', 'rename(2)')
def _():
    a, b = both()
    os.pwrite(a, b'old', 0)
    create(there('new'), b'new')
    os.rename(there('new'), there('f'))
    os.pwrite(a, b'OLD', 0)
    equal([os.pread(fd, 10, 0) for fd in (a, b)], [b'OLD'] * 2)
    equal([content(path) for path in ('f', there('f'))], [b'new'] * 2)
