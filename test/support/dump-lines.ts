/** A dump's lines, one after the other, as `dfs load` reads them: only when they are wanted. */
export async function* linesOf(text: string): AsyncGenerator<string, void, void> {
  yield* text.split('\n');
}
