/** Numbers as people type them on the command line. */
import { UsageError } from './usage-error.js';

const DAY_MS = 86_400_000;
const MAX_DAYS = 3650;

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['K', 2 ** 10],
  ['M', 2 ** 20],
  ['G', 2 ** 30],
  ['T', 2 ** 40],
]);

/** `64M`, `1.5GiB`, `4096`: powers of 1024, in bytes. */
export function parseBytes(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  const factor = UNITS.get(unit?.toUpperCase() ?? '');
  const bytes =
    number === undefined || factor === undefined ? Number.NaN : Math.round(Number(number) * factor);
  if (!Number.isSafeInteger(bytes)) {
    throw new UsageError(`'${text}' is not a size; give bytes, or a number with K, M, G or T, such as 64M`);
  }
  return bytes;
}

/** Seconds, with a fraction if need be, as milliseconds. */
export function parseSeconds(text: string): number {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Math.round(Number(text) * 1000) : Number.NaN;
  // The longest that setTimeout can wait.
  if (!(ms >= 0 && ms <= 0x7fff_ffff)) {
    throw new UsageError(`'${text}' is not a time; give seconds, such as 60 or 0.5`);
  }
  return ms;
}

/** Days, with a fraction if need be, as milliseconds. */
export function parseDays(text: string): number {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Math.round(Number(text) * DAY_MS) : Number.NaN;
  if (!(ms <= MAX_DAYS * DAY_MS)) {
    throw new UsageError(
      `'${text}' is not a number of days; give one from 0 to ${MAX_DAYS}, such as 14 or 0.5`,
    );
  }
  return ms;
}

/** A whole number within bounds. */
export function parseCount(text: string, what: string, min: number, max: number): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= min && count <= max)) {
    throw new UsageError(`'${text}' is not a ${what}; give a whole number from ${min} to ${max}`);
  }
  return count;
}

const LIFETIME_UNITS: ReadonlyMap<string, number> = new Map([
  ['s', 1000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', DAY_MS],
]);

/** `30min`, `1h`, `7d`: from a second to a year, as milliseconds. */
export function parseLifetime(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(s|min|h|d)$/.exec(text) ?? [];
  const ms = Math.round(Number(number) * (LIFETIME_UNITS.get(unit ?? '') ?? Number.NaN));
  if (!(ms >= 1000 && ms <= 366 * DAY_MS))
    throw new UsageError(`'${text}' is no time; give one from 1s to 366d, such as 30min, 1h or 7d`);
  return ms;
}
