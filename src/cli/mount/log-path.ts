/** Where the log of a mount in the background goes when nothing else is said. */
import { join } from 'node:path';
import { logDirectory } from '../dfs-home.js';

/** A file for each mount point, so that its earlier mounts can be read about too. */
export function defaultLogPath(mountPoint: string, port?: number): string {
  const place = (port === undefined ? mountPoint : `${mountPoint}-${port}`).replaceAll(
    /[^A-Za-z0-9._-]+/g,
    '-',
  );
  return join(logDirectory(), `mount${place}.log`);
}
