"""sqlite_writers.py [--seconds N] DIRECTORY

SQLite with `synchronous=full`: transactions of one row each, by one writer and by six that wait for each other's locks.

  sqlite-wal-*        with a write-ahead log
  sqlite-rollback-*   with a rollback journal that is deleted after each transaction, as is SQLite's default

Prints lines `NAME VALUE UNIT # p50=… p99=…`; a line `FAIL …` and exit code 1 when a database is not sound or does not hold exactly
what was committed, after the caches were dropped and the shell command $REMOUNT mounted the file system anew.
"""
import argparse
import os
import sqlite3

from processes import check, make_cold, measure

WRITERS = (1, 6)
MODES = (('wal', 'wal'), ('rollback', 'delete'))
ROW_BYTES = 500
FULL = 2
# For a lock.
LONGEST_WAIT_S = 60


def row(writer, number):
    return f'{writer} {number} '.encode().ljust(ROW_BYTES, b'.')


def open_database(path, mode):
    database = sqlite3.connect(path, timeout=LONGEST_WAIT_S, isolation_level=None)
    check(database.execute(f'pragma journal_mode={mode}').fetchone() == (mode,), f'{path}: no journal mode {mode}')
    database.execute('pragma synchronous=full')
    check(database.execute('pragma synchronous').fetchone() == (FULL,), f'{path}: not synchronous')
    return database


def make_database(path, mode):
    database = open_database(path, mode)
    database.execute('create table rows(writer integer, number integer, value blob, primary key(writer, number))')
    database.close()


def preparation(path, mode):
    def prepare(writer):
        database = open_database(path, mode)

        def operate(number):
            # The lock is taken at once: one that is taken at the first write cannot be waited for by all.
            database.execute('begin immediate')
            database.execute('insert into rows values(?, ?, ?)', (writer, number, row(writer, number)))
            database.execute('commit')
        return operate
    return prepare


def verify(path, counts):
    database = sqlite3.connect(path, timeout=LONGEST_WAIT_S)
    check(database.execute('pragma integrity_check').fetchone() == ('ok',), f'{path} is not sound')
    for writer, count in enumerate(counts):
        rows = database.execute('select number, value from rows where writer=? order by number', (writer,)).fetchall()
        check(rows == [(number, row(writer, number)) for number in range(count)],
              f'{path} has other rows than the {count} of writer {writer}: {len(rows)}')
    check(database.execute('select count(*) from rows').fetchone() == (sum(counts),), f'{path} has too many rows')
    database.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seconds', type=float, default=4)
    parser.add_argument('directory')
    options = parser.parse_args()
    written = []
    for name, mode in MODES:
        for writers in WRITERS:
            path = f'{options.directory}/{name}-{writers}.db'
            make_database(path, mode)
            os.sync()
            counts = measure(f'sqlite-{name}-{writers}', 'tx/s', writers, options.seconds, preparation(path, mode))
            written.append((path, counts))
    make_cold()
    for path, counts in written:
        verify(path, counts)


if __name__ == '__main__':
    main()
