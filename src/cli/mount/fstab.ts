/** /etc/fstab (fstab(5)): the line of one mount, written without touching any other. */
import { randomBytes } from 'node:crypto';
import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';

export const FSTAB = '/etc/fstab';

export interface FstabEntry {
  readonly source: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** The line, without its end. */
export function fstabLine({ source, mountPoint, type, options }: FstabEntry): string {
  return [source, mountPoint, type, options.join(','), '0', '0'].map(escaped).join(' ');
}

/** What would end a field stands as its octal number. */
function escaped(text: string): string {
  return text.replaceAll(/[ \t\n\\#]/g, letter => `\\${letter.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/**
 * The text with the line in it: in the place of the one that there is for the mount point, else at the end. EEXIST when something else
 * is mounted there.
 */
export function withEntry(text: string, entry: FstabEntry): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  const place = lines.findIndex(line => {
    const [source = '', mountPoint = ''] = line.trim().split(/\s+/);
    return !source.startsWith('#') && unescaped(mountPoint).replace(/(.)\/+$/, '$1') === entry.mountPoint;
  });
  const [source = '', , type] = lines[place]?.trim().split(/\s+/) ?? [];
  if (place !== -1 && type !== entry.type)
    throw new DfsError(
      'EEXIST',
      `line ${place + 1} mounts ${unescaped(source)} (${type ?? 'of no type'}) at ${entry.mountPoint} already; remove it, or choose another directory`,
    );
  lines.splice(place === -1 ? lines.length : place, place === -1 ? 0 : 1, fstabLine(entry));
  return `${lines.join('\n')}\n`;
}

/** Writes the line, so that the file has it as a whole or is as it was. Returns whether anything changed. EEXIST, EACCES, … */
export async function writeFstab(path: string, entry: FstabEntry): Promise<boolean> {
  const place = await realpath(path).catch(() => path);
  const next = `${place}.new-${randomBytes(8).toString('hex')}`;
  try {
    const before = await stat(place).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    });
    const text = before ? await readFile(place, 'latin1') : '';
    // Byte for byte, whatever others have written in it.
    const after = withEntry(text, {
      ...entry,
      source: inBytes(entry.source),
      mountPoint: inBytes(entry.mountPoint),
    });
    if (after === text) return false;
    const file = await open(next, 'wx', 0o600);
    try {
      await file.writeFile(after, 'latin1');
      if (before) await file.chown(before.uid, before.gid);
      await file.chmod(before ? before.mode & 0o7777 : 0o644);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, place);
    const directory = await open(dirname(place), 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
    return true;
  } catch (error) {
    throw toDfsError(error).within(`cannot write ${path}`);
  } finally {
    await rm(next, { force: true });
  }
}

function inBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}
