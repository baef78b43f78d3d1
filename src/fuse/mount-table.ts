/** The mount table in /proc/self/mountinfo (proc_pid_mountinfo(5)). */
import { readFile } from 'node:fs/promises';

export interface MountEntry {
  /** Names the mount while it lasts; given again afterwards. */
  readonly id: number;
  readonly mountPoint: string;
  /** The file system's type with its subtype, e.g. `fuse.dfs`. */
  readonly type: string;
  readonly source: string;
  /** Of the device number that stat(2) shows for its files; for FUSE it also names the connection. */
  readonly deviceMinor: number;
  /** Of FUSE: the user who has mounted. */
  readonly userId?: number;
}

const SEPARATOR = ' - ';

/** Space, tab, newline and backslash stand in the table as three octal digits. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** A path as the table shows it. */
export function escapeMountPoint(path: string): string {
  return path.replace(/[ \t\n\\]/g, character => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** The entries of a mountinfo file's text, oldest first. */
export function parseMountTable(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const separator = line.indexOf(SEPARATOR);
    if (separator < 0) continue;
    const [id, , device, , mountPoint] = line.slice(0, separator).split(' ');
    const [type, source, options] = line.slice(separator + SEPARATOR.length).split(' ');
    if (mountPoint === undefined || type === undefined || source === undefined) continue;
    const deviceMinor = Number(device?.split(':')[1] ?? -1);
    const userId = /(?:^|,)user_id=(\d+)/.exec(options ?? '')?.[1];
    entries.push({
      id: Number(id),
      mountPoint: unescape(mountPoint),
      type: unescape(type),
      source: unescape(source),
      deviceMinor,
      ...(userId === undefined ? {} : { userId: Number(userId) }),
    });
  }
  return entries;
}

/** Whether two entries are one mount. */
export function isSameMount(one: MountEntry, other: MountEntry): boolean {
  return one.id === other.id && one.deviceMinor === other.deviceMinor;
}

/**
 * What waits for somebody to look at the place, and then has something mounted there (autofs(5), systemd.automount(5)). It is nobody's
 * file system, and looking at it from the process that is to mount would wait for that process.
 */
const AUTOMOUNT = 'autofs';

/** What is mounted at `mountPoint`, the topmost if there are several; undefined for nothing, or what waits to mount something. */
export async function findMount(mountPoint: string): Promise<MountEntry | undefined> {
  return mountAt(await readTable(), mountPoint);
}

/** The same, in a table that was read. */
export function mountAt(table: readonly MountEntry[], mountPoint: string): MountEntry | undefined {
  return table.findLast(entry => entry.mountPoint === mountPoint && entry.type !== AUTOMOUNT);
}

/** Whether somebody waits there for a look, to have something mounted. */
export async function isAutomountPoint(mountPoint: string): Promise<boolean> {
  return (await readTable()).some(entry => entry.mountPoint === mountPoint && entry.type === AUTOMOUNT);
}

async function readTable(): Promise<MountEntry[]> {
  return parseMountTable(await readFile('/proc/self/mountinfo', 'utf8'));
}
