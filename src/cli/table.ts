/** Tables for people. */
import Table from 'cli-table3';

/** Whether a stream takes colours: a terminal, unless NO_COLOR forbids them (https://no-color.org) or it cannot. */
export function takesColor(stream: { readonly isTTY?: boolean }): boolean {
  const { NO_COLOR = '', TERM = '' } = process.env;
  return stream.isTTY === true && NO_COLOR === '' && TERM !== 'dumb';
}

/** An empty table for standard output. */
export function tableFor(options: {
  readonly head: string[];
  readonly colAligns: ('left' | 'right')[];
  readonly isCompact?: boolean;
}): Table.Table {
  const { head, colAligns, isCompact = false } = options;
  return new Table({
    head,
    colAligns,
    style: { compact: isCompact, ...(takesColor(process.stdout) ? {} : { head: [], border: [] }) },
  });
}
