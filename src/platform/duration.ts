/** A duration as people read it. */

const UNITS = [
  ['s', 1000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
] as const;

/** `ms` rounded to two figures that matter: "250 ms", "10 s", "1.5 h". What rounds up to a whole unit is told in it. */
export function formatDuration(ms: number): string {
  let shownMs = Math.round(ms);
  let text = `${shownMs} ms`;
  for (const [unit, length] of UNITS) {
    if (Math.abs(shownMs) < length) break;
    const count = ms / length;
    const rounded = Math.abs(count) < 9.95 ? Math.round(count * 10) / 10 : Math.round(count);
    shownMs = rounded * length;
    text = `${rounded} ${unit}`;
  }
  return text;
}
