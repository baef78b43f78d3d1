/** The archive for machines without dpkg: to be unpacked in /usr/local. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';

/** Packs a directory as tar and gzip, the same bytes for the same content. */
export function packArchive(directory: string, builtAt: Date, output: string, level: number): void {
  const file = openSync(output, 'w', 0o644);
  try {
    const tar = [
      'tar --sort=name --owner=0 --group=0 --numeric-owner --format=gnu',
      `--mtime=@${Math.floor(builtAt.getTime() / 1000)} -C "$1" -c "$2" | gzip -n -${level}`,
    ].join(' ');
    const { status } = spawnSync(
      'bash',
      ['-o', 'pipefail', '-c', tar, 'tar', dirname(directory), basename(directory)],
      {
        stdio: ['ignore', file, 'inherit'],
      },
    );
    if (status !== 0) throw new Error(`tar or gzip failed (${status ?? 'by a signal'})`);
  } finally {
    closeSync(file);
  }
}
