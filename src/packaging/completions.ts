/** Completion of command lines for bash, zsh and fish, made of what the commands declare to yargs. */
import type { Command } from '../cli/command.js';
import {
  declaredArguments,
  type DeclaredArgument,
  type DeclaredArguments,
} from '../cli/declared-arguments.js';

interface Declared extends DeclaredArguments {
  readonly name: string;
  readonly summary: string;
}

function declared(commands: readonly Command[]): Declared[] {
  return commands.map(command =>
    Object.assign(declaredArguments(command, `dfs ${command.name}`), {
      name: command.name,
      summary: command.summary,
    }),
  );
}

/** As typed; one that is on unless it is turned off by `--no-`. */
function flag({ name, isBoolean, defaultText }: DeclaredArgument): string {
  return isBoolean && defaultText === 'true' ? `no-${name}` : name;
}

/** Single quotes of a POSIX shell, and of zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** /usr/share/bash-completion/completions/dfs */
export function bashCompletion(commands: readonly Command[]): string {
  const all = declared(commands);
  const values = all.flatMap(({ name, options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .map(option => `    ${name}:--${option.name}) words=${quoted(option.choices.join(' '))} ;;`),
  );
  const paths = all.flatMap(({ name, options }) =>
    options
      .filter(({ isBoolean, choices }) => !isBoolean && choices.length === 0)
      .map(option => `${name}:--${option.name}`),
  );
  const options = all.map(each => {
    const names = [...each.options.map(option => `--${flag(option)}`), '--help'];
    return `    ${each.name}) words=${quoted(names.join(' '))} ;;`;
  });
  const actions = all.flatMap(({ name, positionals }) =>
    positionals.flatMap(({ choices }, place) =>
      choices.length === 0 ? [] : [`    ${name}:${place + 2}) words=${quoted(choices.join(' '))} ;;`],
    ),
  );
  return `# Completion of dfs for bash, made of its options.
_dfs() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} command=\${COMP_WORDS[1]} words=''
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W ${quoted([...all.map(({ name }) => name), '--help', '--version'].join(' '))} -- "$current")
    return
  fi
  case $command:$before in
${values.join('\n')}
    # Anything, such as the name of a file.
    ${paths.join(' | ')}) return ;;
    *)
      if [[ $current == -* ]]; then
        case $command in
${options.map(line => `      ${line}`).join('\n')}
        esac
      else
        case $command:$COMP_CWORD in
${actions.map(line => `      ${line}`).join('\n')}
        esac
      fi
      ;;
  esac
  [[ -z $words ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _dfs dfs
`;
}

/** /usr/share/zsh/vendor-completions/_dfs */
export function zshCompletion(commands: readonly Command[]): string {
  const all = declared(commands);
  const described = (text: string): string => text.replaceAll(/[[\]:\\]/g, String.raw`\$&`);
  const specification = (option: DeclaredArgument): string => {
    const head = `--${flag(option)}`;
    const explained = `[${described(option.description)}]`;
    if (option.isBoolean) return quoted(`${head}${explained}`);
    const values = option.choices.length > 0 ? `(${option.choices.join(' ')})` : '_files';
    return quoted(`${head}=${explained}:${option.name}:${values}`);
  };
  const cases = all.map(({ name, options, positionals }) => {
    const places = positionals.map(({ name: argument, choices }, place) =>
      quoted(`${place + 1}:${argument}:${choices.length > 0 ? `(${choices.join(' ')})` : '_files'}`),
    );
    return `    ${name})\n      _arguments \\\n        ${[...options.map(specification), ...places].join(' \\\n        ')}\n      ;;`;
  });
  return `#compdef dfs
# Completion of dfs for zsh, made of its options.
_dfs() {
  local -a commands=(
${all.map(({ name, summary }) => `    ${quoted(`${name}:${described(summary)}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
_dfs "$@"
`;
}

/** /usr/share/fish/vendor_completions.d/dfs.fish */
export function fishCompletion(commands: readonly Command[]): string {
  const text = (given: string): string =>
    `'${given.replaceAll('\\', String.raw`\\`).replaceAll("'", String.raw`\'`)}'`;
  const lines: string[] = [];
  for (const { name, summary, options, positionals } of declared(commands)) {
    const when = `-n '__fish_seen_subcommand_from ${name}'`;
    lines.push(`complete -c dfs -n __fish_use_subcommand -f -a ${name} -d ${text(summary)}`);
    const actions = positionals.flatMap(({ choices }) => choices);
    if (actions.length > 0) lines.push(`complete -c dfs ${when} -a ${text(actions.join(' '))}`);
    for (const option of options) {
      const { choices, isBoolean, description } = option;
      const values = choices.length > 0 ? ` -x -a ${text(choices.join(' '))}` : ' -r';
      lines.push(
        `complete -c dfs ${when} -l ${flag(option)}${isBoolean ? '' : values} -d ${text(description)}`,
      );
    }
  }
  return `# Completion of dfs for fish, made of its options.\n${lines.join('\n')}\n`;
}
