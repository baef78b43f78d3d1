/** Search in lists that are sorted by a key. */

/** The index of the first item whose key is greater than `key`, in a list sorted by key. */
export function firstAfter<Item, Key extends number | string>(
  items: readonly Item[],
  key: Key,
  keyOf: (item: Item) => Key,
): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && keyOf(item) <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}
