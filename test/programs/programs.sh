#!/bin/bash
# programs.sh NAME DIRECTORY CLONE: lets one real program work in a new directory, and checks what it did.
# Exit code 0 only when everything came out as on a local disk.
set -euo pipefail
name=$1 directory=$2 clone=$3
mkdir -p "$directory"
cd "$directory"

case $name in
git)
  git clone -q --no-hardlinks "$clone" repository
  cd repository
  git fsck --full
  for number in 1 2 3 4 5; do
    echo "$number" >"file$number"
    git add -A
    git -c user.name=a -c user.email=a@b commit -qm "commit $number"
  done
  git gc -q --aggressive --prune=now
  git fsck --full
  test -z "$(git status --short)"
  ;;
npm)
  cp "$clone/package.json" "$clone/package-lock.json" .
  npm ci --ignore-scripts --no-audit --no-fund
  node -e "require('yargs')"
  ;;
sqlite)
  python3 - <<'PYTHON'
import os, sqlite3, threading
WRITERS, ROWS = 3, 500
database = sqlite3.connect('test.db')
assert database.execute('pragma journal_mode=wal').fetchone() == ('wal',)
database.execute('create table t(k integer primary key, v blob)')
failures = []
def write():
    try:
        own = sqlite3.connect('test.db', timeout=60)
        for _ in range(ROWS):
            with own:
                own.execute('insert into t(v) values(?)', (os.urandom(2000),))
    except Exception as error:
        failures.append(error)
threads = [threading.Thread(target=write) for _ in range(WRITERS)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not failures, failures
assert database.execute('pragma integrity_check').fetchone() == ('ok',)
assert database.execute('select count(*) from t').fetchone() == (WRITERS * ROWS,)
PYTHON
  ;;
postgres)
  # The last one counts.
  for bin in /usr/lib/postgresql/*/bin; do :; done
  as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
  ask() { as_postgres "$bin/psql" -h "$directory" -At -c "$1" postgres; }
  chown postgres . && chmod 700 .
  as_postgres "$bin/initdb" -D database -A trust >initdb.log
  as_postgres "$bin/pg_ctl" -D database -o "-k $directory -h ''" -l log -w start >start.log
  trap 'as_postgres "$bin/pg_ctl" -D database -m immediate stop >stop.log' EXIT
  as_postgres "$bin/pgbench" -h "$directory" -i -s 5 -q postgres
  as_postgres "$bin/pgbench" -h "$directory" -T 15 -c 4 postgres | tee pgbench.log
  grep -q 'number of failed transactions: 0 ' pgbench.log
  test "$(ask 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)')" = t
  as_postgres "$bin/pg_amcheck" -h "$directory" --install-missing postgres
  ;;
rsync)
  rsync -aHAX /usr/include/ copy/
  test -z "$(rsync -aHAX --itemize-changes /usr/include/ copy/)"
  diff -r --no-dereference /usr/include copy
  ;;
tar)
  mkdir source back
  echo text >source/file
  ln source/file source/hard
  ln -s file source/soft
  setfacl -m u:1000:rw source/file
  setfattr -n user.key -v value source/file
  truncate -s 10M source/sparse
  cp -r /usr/include source/include
  printf y | dd of=source/sparse bs=1 seek=5000000 conv=notrunc status=none
  touch -d '2001-02-03 04:05:06.123456789' source/file
  tar --xattrs --acls --sparse -cf tree.tar source
  tar --xattrs --acls --sparse -xpf tree.tar -C back
  diff -r --no-dereference source back/source
  cmp <(getfacl -c source/file) <(getfacl -c back/source/file)
  test "$(getfattr --only-values -n user.key back/source/file)" = value
  test "$(stat -c '%y %h' source/file)" = "$(stat -c '%y %h' back/source/file)"
  test "$(stat -c %b back/source/sparse)" -lt 1000
  ;;
*)
  echo "no program is known as $name" >&2
  exit 2
  ;;
esac
