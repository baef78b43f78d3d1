/** A measurement, and its text for people. */

/** Higher is better, except in seconds. */
export interface Measurement {
  readonly name: string;
  readonly value: number;
  /** MB/s (10⁶ bytes), iops, files/s, ops/s, s. */
  readonly unit: string;
  /** What is worth knowing besides, e.g. p50 → 210us */
  readonly notes: Readonly<Record<string, string>>;
}

/** Three digits or more, as many as mean something. */
export function formatValue(value: number): string {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(value >= 1 ? 2 : 3);
}

export function formatNotes(notes: Measurement['notes']): string {
  return Object.entries(notes)
    .map(([name, text]) => `${name}=${text}`)
    .join(' ');
}
