/** Coverage as text: all of it, each room of src, and the files of which the least is reached. */

interface Share {
  readonly total: number;
  readonly covered: number;
}

interface Coverage {
  readonly lines: Share;
  readonly branches: Share;
}

interface Named extends Coverage {
  readonly name: string;
}

/** As istanbul's `json-summary` has it: path → the file's coverage; `total` for all of them. */
export type CoverageSummary = Readonly<Record<string, Coverage>>;

/**
 * @param root with a slash at its end; what is not below it is left out
 * @param shown how many files
 */
export function coverageTable(summary: CoverageSummary, root: string, shown: number): string {
  const files = Object.entries(summary)
    .filter(([path]) => path.startsWith(root))
    .map(([path, { lines, branches }]) => ({ name: path.slice(root.length), lines, branches }))
    // Types alone have no line that runs.
    .filter(({ lines }) => lines.total > 0);
  /** directory → its files */
  const rooms = new Map<string, Coverage[]>();
  for (const file of files) {
    const room = file.name.slice(0, file.name.indexOf('/'));
    const members = rooms.get(room) ?? [];
    members.push(file);
    rooms.set(room, members);
  }
  const sums = [...rooms].map(([name, members]) => namedSum(`${name}/`, members));
  const lowest = files.toSorted(byMissing).slice(0, shown);
  return [
    `${files.length} files`,
    rowOf(namedSum('all', files)),
    '',
    ...sums.toSorted((a, b) => a.name.localeCompare(b.name)).map(rowOf),
    '',
    'The lowest, by lines that nothing reached:',
    ...lowest.map(rowOf),
    '',
  ].join('\n');
}

function rowOf({ name, lines, branches }: Named): string {
  const missing = lines.total - lines.covered;
  const shares = `${percent(lines)} of lines ${percent(branches)} of branches`;
  return `${shares} ${String(missing).padStart(6)} lines missing  ${name}`;
}

function byMissing(a: Coverage, b: Coverage): number {
  return b.lines.total - b.lines.covered - (a.lines.total - a.lines.covered);
}

function namedSum(name: string, files: readonly Coverage[]): Named {
  const sum = (shareOf: (file: Coverage) => Share): Share => ({
    total: files.reduce((all, file) => all + shareOf(file).total, 0),
    covered: files.reduce((all, file) => all + shareOf(file).covered, 0),
  });
  return { name, lines: sum(file => file.lines), branches: sum(file => file.branches) };
}

function percent({ total, covered }: Share): string {
  return `${(total === 0 ? 100 : (100 * covered) / total).toFixed(1).padStart(5)} %`;
}
