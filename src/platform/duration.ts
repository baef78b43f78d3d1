/** A duration as people read it. */

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** `ms` rounded to two figures that matter: "250 ms", "10 s", "1.5 h". */
export function formatDuration(ms: number): string {
  const rounded = Math.round(ms);
  for (const [unit, length] of UNITS) {
    if (Math.abs(rounded) < length) continue;
    const count = rounded / length;
    return `${Math.abs(count) < 10 ? Math.round(count * 10) / 10 : Math.round(count)} ${unit}`;
  }
  return `${rounded} ms`;
}
