/** mount.dfs(8) and umount.fuse.dfs(8), which have no declarations of their own to be made of. */
import type { Edition } from './man-page.js';
import { bold, italic, roff } from './roff.js';

/** For /usr/share/man/man8. */
export function mountHelperPage({ version, date }: Edition): string {
  const options: readonly (readonly [option: string, meaning: string])[] = [
    ['ro, rw', 'read-only (every change is EROFS), or not'],
    ['noatime, relatime', 'whether reading moves access times'],
    ['suid, dev, exec', 'and their opposites with no: nosuid and nodev are the default'],
    ['allow_other', 'let other users in, which is the default when root mounts'],
    ['_netdev, nofail, noauto, user, x-…', 'for mount(8) and systemd'],
    ['goal=N, cache-size=SIZE, key-file=PATH, …', 'every option of dfs-mount(1), without its dashes'],
  ];
  return [
    `.TH MOUNT.DFS 8 ${date} "DFS ${version}" DFS`,
    '.SH NAME',
    String.raw`mount.dfs \- mount a DFS by mount(8) and /etc/fstab`,
    '.SH SYNOPSIS',
    `${bold('mount -t dfs')} ${italic('HOST')}[:${italic('PORT')}]:/[${italic('PATH')}] ${italic('directory')} [${bold('-o')} ${italic('options')}]`,
    '.SH DESCRIPTION',
    roff(
      'mount(8) calls it for the type dfs. It translates what it is given to dfs mount --background, and returns when the mount can be used.',
    ),
    '.SH OPTIONS',
    ...options.map(([option, meaning]) => `.TP\n${bold(option)}\n${roff(meaning)}`),
    '.SH EXAMPLES',
    '.nf',
    roff(
      'mount -t dfs 10.0.0.1:/ /mnt/dfs -o ro\n10.0.0.1:8000:/ /mnt/dfs dfs _netdev,x-systemd.automount 0 0',
    ),
    '.fi',
    roff('dfs mount dfs://10.0.0.1/ /mnt/dfs --fstab writes such a line.'),
    '.SH EXIT STATUS',
    roff('0 mounted, 1 called wrongly, 32 not mounted.'),
    '.SH SEE ALSO',
    roff('dfs-mount(1), umount.fuse.dfs(8), mount(8), fstab(5), systemd.mount(5)'),
    '',
  ].join('\n');
}

/** For /usr/share/man/man8. */
export function umountHelperPage({ version, date }: Edition): string {
  return [
    `.TH UMOUNT.FUSE.DFS 8 ${date} "DFS ${version}" DFS`,
    '.SH NAME',
    String.raw`umount.fuse.dfs \- unmount a DFS by umount(8), and wait until everything is stored`,
    '.SH SYNOPSIS',
    `${bold('umount')} ${italic('directory')}`,
    '.SH DESCRIPTION',
    roff(
      'umount(8), and so systemd, calls it for the type fuse.dfs. It unmounts, and returns when the process that served the mount has stored everything and has ended. While servers are away that takes as long as the mount waits for them; what cannot be stored then is lost, which it says.',
    ),
    '.PP',
    roff(
      'umount -l and umount -f return at once, as does umount -N, and root who unmounts what another user has mounted. umount -i does not call it.',
    ),
    '.SH EXIT STATUS',
    roff('0 unmounted and stored, 1 called wrongly, 32 not unmounted, or not everything is stored.'),
    '.SH SEE ALSO',
    roff('dfs-umount(1), mount.dfs(8), umount(8), systemd.mount(5)'),
    '',
  ].join('\n');
}
