import { spawn } from 'node:child_process';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { shell, startCluster, waitUntil } from '../support/cluster.js';

/** Our own sources: some two hundred files, in directories of several depths. */
const tree = new URL('../../../src', import.meta.url).pathname;
const LONG = { timeoutMs: 170_000 };
/** More than IOV_MAX. */
const PIECES = 1200;

for (const driver of ['kernel', 'fuse-native'])
  t.test(`a mount by ${driver} keeps what a local file system would keep`, async t => {
    const mountOptions = ['--driver', driver];
    const cluster = await startCluster(t, { dataNodes: 3, mounts: 2, mountOptions });
    const [first, second] = cluster.mounts.map(mount => mount.mountPoint);
    if (first === undefined || second === undefined) throw new Error('two mounts were asked for');
    const scratch = join(cluster.directory, 'scratch');
    await mkdir(scratch);

    await t.test('a real tree goes in and comes out byte for byte, on both mounts', async t => {
      await shell(`cp -r ${tree} ${first}/tree && diff -r ${tree} ${first}/tree`);
      await shell(`diff -r ${tree} ${second}/tree`);
      await shell(`cp -r ${second}/tree ${scratch}/tree && diff -r ${tree} ${scratch}/tree`);
      const listing = `find . -type f -printf '%P %s %m\\n' | sort`;
      t.equal(await shell(`cd ${first}/tree && ${listing}`), await shell(`cd ${tree} && ${listing}`));
      await shell(`rm -r ${first}/tree && test ! -e ${second}/tree`);
    });

    await t.test('four programs write at once, each gets its own bytes', async t => {
      await shell(`
      cd ${scratch}
      for i in 1 2 3 4; do head -c 20000000 /dev/urandom > par$i; done
      for i in 1 2 3 4; do cp par$i ${first}/par$i & pids[$i]=$!; done
      for i in 1 2 3 4; do wait \${pids[$i]}; done
      for i in 1 2 3 4; do cmp par$i ${second}/par$i; done
      rm par? ${first}/par?`);
      t.pass();
    });

    await t.test('four programs write to one file at once, each its own quarter', async t => {
      await shell(`
      cd ${scratch}
      head -c 16777216 /dev/urandom > whole
      for i in 0 1 2 3; do
        dd if=whole of=${first}/whole bs=65536 skip=$((i*64)) seek=$((i*64)) count=64 conv=notrunc status=none & pids[$i]=$!
      done
      for i in 0 1 2 3; do wait \${pids[$i]}; done
      cmp whole ${second}/whole
      rm whole ${first}/whole`);
      t.pass();
    });

    await t.test('a sparse file of 6 GiB takes no room in its holes, which read as zeros', async t => {
      await shell(`
      cd ${first}
      printf start > sparse
      printf end | dd of=sparse bs=1 seek=6442450944 conv=notrunc status=none`);
      t.equal(await shell(`stat -c %s ${second}/sparse`), '6442450947');
      t.ok(Number(await shell(`stat -c %b ${second}/sparse`)) <= 8, 'a few blocks only');
      t.equal(await shell(`tail -c 3 ${second}/sparse`), 'end');
      t.equal(await shell(`head -c 5 ${second}/sparse`), 'start');
      await shell(
        `dd if=${second}/sparse bs=1M skip=3000 count=64 status=none | cmp -n 67108864 - /dev/zero`,
      );
      await shell(`truncate -s 5G ${first}/sparse`);
      t.equal(await shell(`stat -c %s ${second}/sparse`), '5368709120');
      await shell(`rm ${first}/sparse`);
    });

    await t.test('random reads, writes, truncations and fsyncs give what a local file gives', async t => {
      for (const seed of [1, 2]) {
        const program = new URL('../../../test/support/random-io.py', import.meta.url).pathname;
        const said = await shell(`python3 ${program} ${first}/random ${scratch}/random ${seed} 1000`, LONG);
        t.match(said, /^same/, `seed ${seed}`);
      }
    });

    await t.test('what one mount closed, the other one sees at once', async t => {
      await shell(`
      for i in $(seq 50); do
        echo "content $i" > ${first}/turn
        test "$(cat ${second}/turn)" = "content $i"
        mv ${second}/turn ${second}/turned
        test ! -e ${first}/turn
        test "$(cat ${first}/turned)" = "content $i"
        rm ${first}/turned
        test ! -e ${second}/turned
      done`);
      t.pass();
    });

    await t.test('a file of more pieces than one system call takes is read in one go', async t => {
      const expected = Buffer.alloc(8 * PIECES);
      const file = await open(join(first, 'pieces'), 'w');
      for (let piece = 0; piece < PIECES; piece += 1) {
        expected.writeUInt32LE(piece + 1, 8 * piece + 4);
        await file.write(expected, 8 * piece + 4, 4, 8 * piece + 4);
        await file.datasync();
      }
      await file.close();
      t.ok(expected.equals(await readFile(join(second, 'pieces'))));
    });

    await t.test('links, times, owners, modes and extended attributes stay', async t => {
      await shell(`
      cd ${first}
      mkdir -p dir/sub && echo x > dir/file && ln dir/file dir/hard && ln -s file dir/soft && mkfifo dir/fifo
      chown 12:34 dir/file && chmod 4751 dir/file
      touch -d '2001-02-03 04:05:06.789' dir/file`);
      t.equal(await shell(`stat -c '%a %u %g %h %s' ${second}/dir/hard`), '4751 12 34 2 2');
      t.match(await shell(`stat -c %y ${second}/dir/file`), /^2001-02-03 04:05:06\.789/);
      t.equal(await shell(`readlink ${second}/dir/soft`), 'file');
      t.equal(await shell(`stat -c %F ${second}/dir/fifo`), 'fifo');
      await shell(`python3 -c "
import os
p = '${first}/dir/file'
os.setxattr(p, 'user.color', b'blue')
os.setxattr(p, 'user.big', b'b' * 60000)
q = '${second}/dir/file'
assert os.getxattr(q, 'user.color') == b'blue'
assert len(os.getxattr(q, 'user.big')) == 60000
assert sorted(os.listxattr(q)) == ['user.big', 'user.color'], os.listxattr(q)
os.removexattr(q, 'user.big')
assert os.listxattr(p) == ['user.color']
"`);
      await shell(`cp -a ${first}/dir ${first}/copied`);
      const modes = `find . -printf '%P %m %y\\n' | sort`;
      t.equal(await shell(`cd ${second}/copied && ${modes}`), await shell(`cd ${second}/dir && ${modes}`));
      await shell(`rm -r ${second}/dir ${second}/copied && test ! -e ${first}/dir`);
    });

    await t.test('errors are those of a local file system', async t => {
      const name = 'n'.repeat(256);
      const errno = async (call: string): Promise<string> =>
        await shell(`cd ${first} && python3 -c "
import os, errno
try:
    ${call}
    print('none')
except OSError as e:
    print(errno.errorcode[e.errno])
"`);
      await shell(`cd ${first} && mkdir full && touch full/f`);
      t.equal(await errno(`os.rmdir('full')`), 'ENOTEMPTY');
      t.equal(await errno(`os.unlink('full')`), 'EISDIR');
      t.equal(await errno(`os.rmdir('full/f')`), 'ENOTDIR');
      t.equal(await errno(`os.open('full/f/x', 0)`), 'ENOTDIR');
      t.equal(await errno(`os.open('missing', 0)`), 'ENOENT');
      t.equal(await errno(`os.open('full/f', os.O_CREAT | os.O_EXCL)`), 'EEXIST');
      t.equal(await errno(`os.mkdir('${name}')`), 'ENAMETOOLONG');
      t.equal(await errno(`os.mkdir('${name.slice(1)}')`), 'none');
      t.equal(await errno(`os.rename('full', 'full/inside')`), 'EINVAL');
      // So `ls -l` asks no more of them (the same number as EOPNOTSUPP).
      const noLabel = driver === 'kernel' ? 'ENOTSUP' : 'ENODATA';
      t.equal(await errno(`os.getxattr('full', 'security.selinux')`), noLabel);
      t.equal(await errno(`os.getxattr('full', 'user.none')`), 'ENODATA');
      t.equal(await errno(`os.truncate('full/f', 2 ** 60)`), 'EFBIG');
    });

    await t.test('a file that was deleted stays readable and writable for who has it open', async t => {
      const said = await shell(`python3 -c "
import os
fd = os.open('${first}/gone', os.O_CREAT | os.O_RDWR)
os.write(fd, b'before')
os.unlink('${first}/gone')
assert not os.path.exists('${first}/gone')
os.write(fd, b' after')
assert os.pread(fd, 100, 0) == b'before after', os.pread(fd, 100, 0)
os.close(fd)
"`);
      t.equal(said, '');
      await waitUntil(async () => (await shell(`ls -A ${first} | grep -c fuse_hidden || true`)) === '0', {
        deadlineMs: 10_000,
        what: 'the hidden file is gone',
      });
    });

    await t.test('umount by anybody flushes and ends the mount; what was written is there again', async t => {
      const [mount] = cluster.mounts;
      if (!mount) throw new Error('no mount');
      await shell(
        `head -c 3000000 /dev/urandom > ${scratch}/kept && cp ${scratch}/kept ${first}/kept && umount ${first}`,
      );
      t.equal(await mount.exited(), 0);
      await mount.restart();
      await shell(`cmp ${scratch}/kept ${first}/kept && cmp ${scratch}/kept ${second}/kept`);
    });

    await t.test('SIGTERM flushes, unmounts and ends the daemon', async t => {
      const mount = cluster.mounts[1];
      if (!mount) throw new Error('no mount');
      await shell(`echo last words > ${second}/words`);
      t.equal(await mount.stop(), 0);
      t.notMatch(await shell('cat /proc/self/mountinfo'), second);
      t.equal(await shell(`cat ${first}/words`), 'last words');
    });
    await rm(scratch, { recursive: true, force: true });
  });

t.test('a mount in use does not keep its daemon from ending; who uses it gets an error', async t => {
  for (const driver of ['kernel', 'fuse-native']) {
    const cluster = await startCluster(t, {
      dataNodes: 1,
      mounts: 1,
      mountOptions: ['--driver', driver],
    });
    const [mount] = cluster.mounts;
    if (!mount) throw new Error('no mount');
    await shell(`echo kept > ${mount.mountPoint}/file`);
    const user = spawn('sleep', ['60'], { cwd: mount.mountPoint });
    t.teardown(() => user.kill('SIGKILL'));
    t.equal(await mount.stop(), 0, driver);
    user.kill('SIGKILL');
    await mount.restart();
    t.equal(await shell(`cat ${mount.mountPoint}/file`), 'kept');
  }
});
