/**
 * ACLs, extended attributes, and what takes setuid and setgid away, on two kernel mounts of one cluster: every step is
 * done on one and looked at on both. The rules are those of acl(5), xattr(7), chmod(2), chown(2), write(2) and mkdir(2).
 */
import { chmod } from 'node:fs/promises';
import t from 'tap';
import { shell, startCluster } from '../support/cluster.js';

const FUNCTIONS = `
  set +e +u +o pipefail
  # Other users can run what is in these.
  PATH=/usr/local/bin:/usr/bin:/bin:$PATH
  as() { local id=$1; shift; setpriv --reuid $id --regid $id --clear-groups -- "$@"; }
  member() { local id=$1 group=$2; shift 2; setpriv --reuid $id --regid $id --groups $group -- "$@"; }
  acl() { getfacl -npcE "$@" | grep -v '^$' | tr '\\n' ' '; echo; }
  mode() { stat -c %a "$@"; }
  python() { python3 -c "import os, sys, errno
def refused(call, *rest):
    try: call(*rest)
    except OSError as error: print(errno.errorcode[error.errno].replace('ENOTSUP', 'EOPNOTSUPP'))
    else: print('done')
$1" "\${@:2}"; }
  cd "$FIRST"; umask 022
`;

t.test('ACLs and privileges are those of a local file system, on both mounts', async t => {
  const cluster = await startCluster(t, {
    dataNodes: 1,
    mounts: 2,
    goal: 1,
    // Programs with setuid are obeyed on request alone.
    mountOptions: ['--driver', 'kernel', '--suid'],
  });
  const [first, second] = cluster.mounts.map(mount => mount.mountPoint);
  if (first === undefined || second === undefined) throw new Error('two mounts were asked for');
  // Other users come through it.
  await chmod(cluster.directory, 0o711);
  const env = { ...process.env, FIRST: first, SECOND: second };
  const run = async (script: string): Promise<string> =>
    (await shell(`${FUNCTIONS}\n${script}`, { env })).trimEnd();
  let tests = 0;
  /** Runs a script whose lines of output are given; each test has a directory of its own to be in. */
  const says = async (name: string, script: string, ...lines: string[]): Promise<void> => {
    await t.test(name, async t => {
      tests += 1;
      const said = await run(
        `mkdir -m 777 ${tests} && cd ${tests} && export O="$SECOND/${tests}"\n${script}`,
      );
      t.same(
        said.split('\n').map(line => line.trimEnd()),
        lines,
      );
    });
  };

  await says(
    'acl(5): a named user gets what his entry and the mask give, on each mount at once',
    `echo x > f; chmod 600 f
     as 1000 cat "$O/f" 2>/dev/null || echo no
     setfacl -m u:1000:r f; as 1000 cat "$O/f"; as 1001 cat f 2>/dev/null || echo no
     acl f; acl "$O/f"; mode "$O/f"
     setfacl -x u:1000 "$O/f"; as 1000 cat f 2>/dev/null || echo no
     setfacl -b f; acl "$O/f"; mode "$O/f"
     python 'print(os.listxattr("f"))'`,
    'no',
    'x',
    'no',
    'user::rw- user:1000:r-- group::--- mask::r-- other::---',
    'user::rw- user:1000:r-- group::--- mask::r-- other::---',
    '640',
    'no',
    'user::rw- group::--- other::---',
    '600',
    '[]',
  );
  await says(
    'acl(5): an ACL that was read is read anew when another mount has changed it, and once more',
    `echo x > f
     for may in r rw rx r; do
       setfacl -m u:1000:$may f
       python 'print(os.getxattr(os.environ["O"] + "/f", "system.posix_acl_access")[14])'
     done`,
    '4',
    '6',
    '5',
    '4',
  );
  await says(
    'acl(5): chmod changes the mask, which limits named users, also for who had the ACL in his cache',
    `echo x > f; chmod 600 f; setfacl -m u:1000:rw f; as 1000 cat "$O/f"
     chmod 600 f; as 1000 cat "$O/f" 2>/dev/null || echo no
     acl "$O/f"; chmod g=r "$O/f"; as 1000 cat f; as 1000 sh -c ': >> f' 2>/dev/null || echo no`,
    'x',
    'no',
    'user::rw- user:1000:rw- group::--- mask::--- other::---',
    'x',
    'no',
  );
  await says(
    'acl(5): named groups, and the owning group by the mask',
    `echo x > f; chown 5:600 f; chmod 640 f; setfacl -m g:700:r f
     member 1000 700 cat "$O/f"; member 1000 600 cat "$O/f"; as 1000 cat "$O/f" 2>/dev/null || echo no`,
    'x',
    'x',
    'no',
  );
  await says(
    'acl(5): a default ACL takes the place of the umask, and is inherited by directories',
    `mkdir d; setfacl -d -m u:1000:rwx,g::rwx,o::r d; umask 077
     touch d/f "$O/d/g"; mkdir -p d/s; mkfifo d/p; ln -s x d/l; touch d/s/f
     mode d/f d/g d/s d/p d/s/f | tr '\\n' ' '; echo
     acl "$O/d/f"; acl d/g; acl "$O/d/s"; mkdir -m 700 d/t; acl d/t`,
    '664 664 774 664 664',
    'user::rw- user:1000:rwx group::rwx mask::rw- other::r--',
    'user::rw- user:1000:rwx group::rwx mask::rw- other::r--',
    'user::rwx user:1000:rwx group::rwx mask::rwx other::r-- default:user::rwx default:user:1000:rwx default:group::rwx default:mask::rwx default:other::r--',
    'user::rwx user:1000:rwx group::rwx mask::--- other::--- default:user::rwx default:user:1000:rwx default:group::rwx default:mask::rwx default:other::r--',
  );
  await says(
    'umask(2) without a default ACL, for every kind of file; setfacl -k brings it back',
    `umask 027; touch f; mkdir d; mkfifo p; mode f d p | tr '\\n' ' '; echo
     setfacl -d -m o::rwx d; setfacl -k "$O/d"; touch d/f; mode d/f
     python 'os.umask(0); os.close(os.open("m", os.O_CREAT, 0o666)); os.mknod("n", 0o4777)'; mode m n | tr '\\n' ' '`,
    '640 750 640',
    '640',
    '666 4777',
  );
  await says(
    'who may: only the owner sets an ACL; a default ACL needs a directory; a malformed one is EINVAL',
    `touch f; as 1000 setfacl -m u:1000:rwx f 2>&1 | sed 's/.*: //'
     python '
A = "system.posix_acl_access"; D = "system.posix_acl_default"
import struct
acl = lambda *entries: struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
N = 0xffffffff
minimal = acl((1, 6, N), (4, 4, N), (32, 0, N))
refused(os.setxattr, "f", D, minimal)
refused(os.setxattr, "f", A, minimal[:-1])
refused(os.setxattr, "f", A, acl((1, 6, N), (2, 7, 1000), (4, 4, N), (32, 0, N)))
refused(os.setxattr, "f", A, acl((4, 4, N), (1, 6, N), (32, 0, N)))
refused(os.setxattr, "f", A, minimal); print(oct(os.stat("f").st_mode), os.listxattr("f"))
refused(os.getxattr, "f", A); refused(os.removexattr, "f", A)'`,
    'Operation not permitted',
    'EACCES',
    'EINVAL',
    'EINVAL',
    'EINVAL',
    'done',
    '0o100640 []',
    'ENODATA',
    'done',
  );
  await says(
    'chmod(2): setgid by who is not in the group goes, by mode and by ACL',
    `touch f; chown 1000:600 f; as 1000 chmod 2775 f; mode "$O/f"; member 1000 600 chmod 2775 f; mode f
     as 1000 setfacl -m u:5:r f; mode "$O/f"
     chmod 2775 f; member 1000 600 setfacl -m u:6:r f; mode "$O/f"`,
    '775',
    '2775',
    '775',
    '2775',
  );
  await says(
    'cp -a and tar --acls bring ACLs along',
    `mkdir d; touch d/f; setfacl -m u:7:rx d/f; setfacl -m g:8:rx -d -m u:9:rwx d
     cp -a d e; tar --acls --xattrs -cf x.tar d; mkdir o; tar --acls --xattrs -xf x.tar -C o
     for a in e o/d; do diff <(getfacl -R -nc d) <(cd "$O" && getfacl -R -nc $a) | grep -v '# file' | grep '^[<>]' ; done; echo same`,
    'same',
  );
  await says(
    'write(2), truncate(2), open(2): a stranger takes setuid and setgid away, root does not, at once and on both mounts',
    `see() { echo "$1 $(mode f) $(mode "$O/f")"; }
     make() { rm -f f; echo x > f; chmod 6777 f; mode f "$O/f" > /dev/null; }
     make; echo y >> f; see root
     make; as 1000 sh -c 'echo y >> f; stat -c %a f'; see append
     make; as 1000 truncate -s 1 f; see truncate
     make; as 1000 sh -c ': > f'; see open
     : > f; chmod 6777 f; as 1000 sh -c ': > f'; see empty
     make; chmod 6767 f; as 1000 sh -c 'echo y >> f'; see stranger
     make; chgrp 600 f; chmod 6767 f; member 1000 600 sh -c 'echo y >> f'; see member
     make; as 1000 python3 -c 'import os; f = os.open("f", os.O_RDWR); os.write(f, b"a"); print(oct(os.fstat(f).st_mode))'
     python 'f = os.open("g", os.O_RDWR | os.O_CREAT); os.write(f, b"a"); os.fchmod(f, 0o6755); os.close(f)'; mode g
     as 1000 python3 -c 'import os; f = os.open("h", os.O_RDWR | os.O_CREAT); os.write(f, b"a"); os.fchmod(f, 0o6755); os.close(f)'; mode h`,
    'root 6777 6777',
    '777',
    'append 777 777',
    'truncate 777 777',
    'open 777 777',
    'empty 777 777',
    'stranger 767 767',
    'member 2767 2767',
    '0o100777',
    '6755',
    '6755',
  );
  await says(
    'execve(2): setuid is not obeyed any more after a stranger has written',
    `cp /usr/bin/id id; chown 1001 id; chmod 4777 id; as 1000 ./id -u; as 1000 "$O/id" -u
     as 1000 sh -c 'printf "" >> id; printf x >> id'; as 1000 ./id -u; as 1000 "$O/id" -u`,
    '1001',
    '1001',
    '1000',
    '1000',
  );
  await says(
    'chown(2): setuid, setgid and capabilities go; capabilities also when the file is written to',
    `touch f; cap() { python 'os.setxattr("f", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))'; }
     names() { python 'print(os.listxattr(sys.argv[1]))' "$1"; }
     chmod 6755 f; chown 3 f; mode "$O/f"; chmod 6755 f; chgrp 3 "$O/f"; mode f
     cap; names "$O/f"; chown 4 f; names "$O/f"
     chmod 666 f; cap; as 1000 sh -c 'echo x >> f'; names f; names "$O/f"
     cap; echo y >> f; names "$O/f"
     python 'f = os.open("k", os.O_RDWR | os.O_CREAT); os.write(f, b"a"); os.setxattr(f, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000")); os.close(f)'
     names "$O/k"`,
    '755',
    '755',
    "['security.capability']",
    '[]',
    '[]',
    '[]',
    '[]',
    "['security.capability']",
  );
  await says(
    'mkdir(2): a setgid directory passes its group on, and the bit to directories',
    `mkdir d; chown 0:600 d; chmod 2777 d; as 1000 touch d/f; as 1000 mkdir "$O/d/s"; as 1000 mkdir d/s/s
     stat -c '%g %a' d/f d/s "$O/d/s/s" | tr '\\n' ' '; echo
     as 1000 python3 -c 'import os; os.umask(0); os.close(os.open("d/x", os.O_CREAT, 0o2775))'; mode d/x`,
    '600 644 600 2755 600 2755',
    '775',
  );
  await says(
    'xattr(7): CREATE, REPLACE, lengths, empty values, namespaces, and which are listed for whom',
    `touch f; ln -s f l; mkfifo p; chmod 666 f
     python '
refused(os.setxattr, "f", "user.a", b"1", os.XATTR_REPLACE); refused(os.setxattr, "f", "user.a", b"1", os.XATTR_CREATE)
refused(os.setxattr, "f", "user.a", b"2", os.XATTR_CREATE); refused(os.setxattr, "f", "user.a", b"", os.XATTR_REPLACE)
print(os.getxattr(sys.argv[1] + "/f", "user.a"))
refused(os.setxattr, "f", "user." + "n" * 251, b""); refused(os.setxattr, "f", "user." + "n" * 250, b"")
refused(os.setxattr, "f", "user.v", bytes(65537)); refused(os.setxattr, "f", "user.v", bytes(65536))
os.removexattr("f", "user.v"); os.removexattr("f", "user." + "n" * 250)
for name in "plain", "system.other", "user.": refused(os.setxattr, "f", name, b"")
refused(os.setxattr, "p", "user.a", b""); refused(os.getxattr, "f", "user.none"); refused(os.removexattr, "f", "user.none")
os.setxattr("f", "trusted.t", b"t"); os.setxattr("f", "security.s", b"s"); os.setxattr("l", "trusted.l", b"", follow_symlinks=False)
print(os.listxattr(sys.argv[1] + "/f"), os.listxattr("l", follow_symlinks=False))' "$O"
     setfacl -m u:5:r f; as 1000 python3 -c 'import os; print(os.listxattr("f")); os.getxattr("f", "trusted.t")' 2>&1 | grep -v -e File -e Trace`,
    'ENODATA',
    'done',
    'EEXIST',
    'done',
    "b''",
    'ERANGE',
    'done',
    'E2BIG',
    'done',
    'EOPNOTSUPP',
    'EOPNOTSUPP',
    'EINVAL',
    'EPERM',
    'ENODATA',
    'ENODATA',
    "['security.s', 'trusted.t', 'user.a'] ['trusted.l']",
    "['security.s', 'system.posix_acl_access', 'user.a']",
    "OSError: [Errno 61] No data available: 'f'",
  );
});
