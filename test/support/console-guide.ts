/**
 * A guide whose commands are run: code blocks marked `console`, in which `root@MACHINE:~# COMMAND` is typed on a machine and the lines
 * below are what it prints. `…` in a line that is printed stands for anything, alone on a line for any lines; in a command it stands for
 * what stood there when another command printed the line.
 */

export interface GuideStep {
  readonly machine: string;
  readonly command: string;
  /** What it is to print, a line each. */
  readonly expected: readonly string[];
  /** In the guide, from 1. */
  readonly line: number;
}

const PROMPT = /^root@(\w+):~# (.*)$/;
const ANYTHING = '…';

/** The commands of a guide in their order. Throws when a block begins with something else than a command. */
export function guideSteps(text: string): GuideStep[] {
  const steps: { machine: string; command: string; expected: string[]; line: number }[] = [];
  let isInside = false;
  for (const [index, line] of text.split('\n').entries()) {
    if (!isInside) {
      isInside = line === '```console';
      continue;
    }
    if (line === '```') {
      isInside = false;
      continue;
    }
    const [, machine, command] = PROMPT.exec(line) ?? [];
    if (machine !== undefined && command !== undefined)
      steps.push({ machine, command, expected: [], line: index + 1 });
    else {
      const last = steps.at(-1);
      if (!last) throw new Error(`line ${index + 1} of the guide stands before any command`);
      last.expected.push(line);
    }
  }
  return steps;
}

/**
 * The command with each `…` as another command has printed it. Throws when none has.
 * @param printed lines, the newest last
 */
export function filledIn(command: string, printed: readonly string[]): string {
  if (!command.includes(ANYTHING)) return command;
  const pattern = new RegExp(`${patternOf(command, String.raw`\S+`)}$`);
  for (const line of printed.toReversed()) {
    const [whole] = pattern.exec(line) ?? [];
    if (whole !== undefined) return whole;
  }
  throw new Error(`nothing that was printed ends with: ${command}`);
}

/** Whether what was printed is what the guide says. */
export function isAsExpected(printed: string, expected: readonly string[]): boolean {
  const lines = expected.map(line =>
    line === ANYTHING ? String.raw`(?:[^\n]*\n)*` : `${patternOf(line, '[^\\n]*')}\\n`,
  );
  const text = printed === '' || printed.endsWith('\n') ? printed : `${printed}\n`;
  return new RegExp(`^${lines.join('')}$`).test(text);
}

function patternOf(line: string, anything: string): string {
  return line
    .split(ANYTHING)
    .map(part => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
    .join(anything);
}
