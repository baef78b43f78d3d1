/** Suggests the known name that is nearest to a mistyped one. */

/** More letters to be changed than this, and it is another word. */
const MAX_DISTANCE = 3;

/** The name that is nearest to `text`, if one is near: one that it begins, or that few typing errors make of it. */
export function nearestName(text: string, names: readonly string[]): string | undefined {
  const begun = text.length > 1 ? names.filter(name => name.startsWith(text)) : [];
  if (begun.length === 1) return begun[0];
  const limit = Math.min(MAX_DISTANCE, Math.ceil(text.length / 2));
  const [best] = names
    .map(name => ({ name, distance: distanceBetween(text, name) }))
    .filter(({ distance }) => distance <= limit)
    .toSorted((a, b) => a.distance - b.distance);
  return best?.name;
}

/** Levenshtein's: letters to be added, left out or changed. */
function distanceBetween(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [row, letter] of Array.from(a).entries()) {
    const current = [row + 1];
    for (const [column, other] of Array.from(b).entries()) {
      const changed = (above[column] ?? 0) + (letter === other ? 0 : 1);
      current.push(Math.min(changed, (above[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1));
    }
    above = current;
  }
  return above.at(-1) ?? 0;
}
