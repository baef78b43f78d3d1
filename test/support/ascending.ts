/** The order of numbers: sort() by itself takes them for text, and puts 10 before 9. */
export function ascending(a: number, b: number): number {
  return a - b;
}
