/**
 * Which versions of DFS work together: those of one major version whose minor versions differ by one at the most. So the machines of a
 * cluster are brought to the next version one after the other, and none is left out meanwhile (docs/upgrade.md).
 */
import { DfsError } from './errors.js';

/** The same as in package.json; a test compares them. */
export const VERSION = '0.2.0';
/** What said no version yet was of this one. */
const FIRST = '0.1.0';
const NUMBERS = /^(\d{1,6})\.(\d{1,6})\./;

/**
 * What this version can do that the one before cannot, and that the other end may have to know: both ends say so in `hello`. A name goes when
 * every version that works with this one has it.
 */
export type Capability = 'exports' | 'names';

/**
 * `exports`: a session may be begun at a directory (`path`), and is told its rights.
 * `names`: a directory may be listed without attributes (`readnames`).
 */
export const CAPABILITIES: readonly Capability[] = ['exports', 'names'];

/** EPROTO, with what to do, unless a program of version `other` and this one understand each other. */
export function requireCompatible(other = FIRST, own = VERSION): void {
  const [major, minor] = numbersOf(own);
  const [otherMajor, otherMinor] = numbersOf(other);
  if (major === otherMajor && Math.abs(minor - otherMinor) <= 1) return;
  const older = major > otherMajor || (major === otherMajor && minor > otherMinor) ? other : own;
  throw new DfsError(
    'EPROTO',
    `DFS ${other} and ${own} do not work together; bring the ${older} to the version of the others, one minor version after the other`,
  );
}

function numbersOf(version: string): readonly [major: number, minor: number] {
  const [, major, minor] = NUMBERS.exec(version) ?? [];
  if (major === undefined || minor === undefined)
    throw new DfsError('EPROTO', 'the other side names no version of DFS');
  return [Number(major), Number(minor)];
}
