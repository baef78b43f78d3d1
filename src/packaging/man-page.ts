/** Manual pages, made of what the commands declare to yargs. */
import type { Command } from '../cli/command.js';
import { declaredArguments, type DeclaredArgument } from '../cli/declared-arguments.js';
import { bold, italic, roff } from './roff.js';

/** What every page says of the build. */
export interface Edition {
  readonly version: string;
  /** YYYY-MM-DD */
  readonly date: string;
}

interface Page {
  readonly name: string;
  readonly section: 1;
  readonly summary: string;
  readonly synopsis: string;
  /** Title and text, in order; those without text are left out. */
  readonly sections: readonly (readonly [title: string, text: string])[];
  readonly seeAlso: readonly string[];
}

const EXIT_STATUS =
  '0 done, 1 failed, 2 wrong usage. What is wrong is told in one sentence on standard error.';

const ENVIRONMENT: readonly (readonly [name: string, meaning: string])[] = [
  ['DFS_SERVER', 'the metadata server that commands ask when none is named'],
  [
    'DFS_HOME',
    "where state, logs, identities and keys are; $HOME/.dfs unless set, /var/lib/dfs for the system's services",
  ],
  ['DFS_KEY_FILE', 'the key that stands for a certificate on loopback'],
  ['DFS_TOKEN', 'the token for dfs join, which then is seen in no list of processes'],
  ['NO_COLOR', 'tables without colours'],
];

const FILES: readonly (readonly [path: string, meaning: string])[] = [
  ['/etc/dfs/metadata.toml', 'arguments of dfs-metadata.service'],
  ['/etc/dfs/node.toml', 'arguments of dfs-node.service; node-NAME.toml those of dfs-node@NAME.service'],
  ['/etc/dfs/identity', "what proves that this machine's root is a member of its cluster"],
  ['/var/lib/dfs', "the services' state: database, key and identity"],
];

/** dfs-COMMAND(1). */
export function manPage(command: Command, edition: Edition): string {
  const call = `dfs ${command.name}`;
  const { positionals, options, examples, epilogue } = declaredArguments(command, call);
  const typed = positionals.map(({ name, isRequired }) => (isRequired ? italic(name) : `[${italic(name)}]`));
  return page(
    {
      name: `dfs-${command.name}`,
      section: 1,
      summary: command.summary,
      synopsis: [bold(call), ...typed, `[${italic('options')}]`].join(' '),
      sections: [
        ['ARGUMENTS', items(positionals.map(each => [italic(each.name), described(each)]))],
        ['OPTIONS', items(options.map(each => [optionText(each), described(each)]))],
        ['EXAMPLES', items(examples.map(([example, meaning]) => [bold(example), roff(meaning)]))],
        ['NOTES', roff(epilogue)],
        ['EXIT STATUS', roff(EXIT_STATUS)],
      ],
      seeAlso: ['dfs(1)'],
    },
    edition,
  );
}

/** dfs(1). */
export function overviewPage(commands: readonly Command[], edition: Edition): string {
  const listed = (entries: readonly (readonly [string, string])[]): string =>
    items(entries.map(([name, meaning]) => [bold(name), roff(meaning)]));
  return page(
    {
      name: 'dfs',
      section: 1,
      summary: 'A distributed file system that you mount and forget about',
      synopsis: `${bold('dfs')} ${italic('command')} [${italic('arguments')}]`,
      sections: [
        [
          'DESCRIPTION',
          roff(
            'DFS makes the disks of a few machines one place for files: a metadata server knows the names, data nodes hold the bytes, and a mount is where programs find them. Each command has a page of its own, such as dfs-mount(1).',
          ),
        ],
        ['COMMANDS', listed(commands.map(({ name, summary }) => [name, summary]))],
        ['ENVIRONMENT', listed(ENVIRONMENT)],
        ['FILES', listed(FILES)],
        ['EXIT STATUS', roff(EXIT_STATUS)],
      ],
      seeAlso: [...commands.map(({ name }) => `dfs-${name}(1)`), 'systemctl(1)', 'mount(8)'],
    },
    edition,
  );
}

function page(given: Page, { version, date }: Edition): string {
  const { name, section, summary, synopsis, sections, seeAlso } = given;
  const shown = [...sections, ['SEE ALSO', roff(seeAlso.join(', '))] as const].filter(
    ([, text]) => text !== '',
  );
  return [
    `.TH ${name.toUpperCase().replaceAll('-', String.raw`\-`)} ${section} ${date} "DFS ${version}" DFS`,
    '.SH NAME',
    `${roff(name)} \\- ${roff(summary)}`,
    '.SH SYNOPSIS',
    synopsis,
    ...shown.flatMap(([title, text]) => [`.SH ${title}`, text]),
    '',
  ].join('\n');
}

/** Terms, each with its text indented below. */
function items(entries: readonly (readonly [term: string, text: string])[]): string {
  return entries.map(([term, text]) => `.TP\n${term}\n${text === '' ? String.raw`\&` : text}`).join('\n');
}

function optionText({ name, aliases, isBoolean, defaultText }: DeclaredArgument): string {
  const short = aliases.map(alias => (alias.length === 1 ? `-${alias}` : `--${alias}`));
  const off = isBoolean && defaultText === 'true' ? [`--no-${name}`] : [];
  const names = [...short, `--${name}`, ...off].map(bold).join(', ');
  return isBoolean ? names : `${names} ${italic(name.toUpperCase())}`;
}

function described({ description, choices, defaultText, isBoolean }: DeclaredArgument): string {
  const byDefault = isBoolean && defaultText === 'false' ? undefined : defaultText;
  const further = [
    ...(choices.length > 0 ? [`one of ${choices.join(', ')}`] : []),
    ...(byDefault === undefined ? [] : [`default: ${isBoolean ? 'on' : byDefault}`]),
  ];
  return roff([description, ...further].filter(Boolean).join('; '));
}
