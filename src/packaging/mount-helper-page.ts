/** mount.dfs(8), which has no options of its own to be made of but those of `dfs mount`. */
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
    roff('dfs-mount(1), mount(8), fstab(5), systemd.mount(5)'),
    '',
  ].join('\n');
}
