import { ANONYMOUS_ID, type ExportRule, type IdRange } from '../../protocol/export-commands.js';
import { DfsError } from '../../protocol/errors.js';
import { namesOf } from '../../vfs/path-walk.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { parseIdRange } from '../id-range.js';
import { parseCount } from '../quantity.js';
import { chooseServer, SERVER_DESCRIPTION } from '../server-choice.js';
import { writeOut } from '../standard-output.js';
import { tableFor } from '../table.js';
import { UsageError } from '../usage-error.js';

const MAX_ID = 0xffff_fffe;

export const exportCommand = defineCommand({
  name: 'export',
  positionals: '<action> [what]',
  summary: 'Decide which other machines may mount what, read-only or not, and as which users',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('action', {
        choices: ['add', 'list', 'remove'] as const,
        demandOption: true,
        describe: 'let machines mount a directory; show who may mount what; take a rule back',
      })
      .positional('what', {
        type: 'string',
        describe: 'add: the directory, from the root on, e.g. /photos; remove: the number that list shows',
      })
      .option('server', { type: 'string', requiresArg: true, describe: SERVER_DESCRIPTION })
      .option('to', {
        type: 'string',
        requiresArg: true,
        describe:
          "add: for whom: a member (client/laptop), an address or a range (10.0.0.0/24), a role (role:client), or '*' for every machine",
      })
      .option('read-only', { type: 'boolean', default: false, describe: 'add: nothing may be changed' })
      .option('root-squash', {
        type: 'boolean',
        default: true,
        describe: "add: the machine's root is the anonymous user; --no-root-squash: it is root here too",
      })
      .option('all-squash', {
        type: 'boolean',
        default: false,
        describe: 'add: every user is the anonymous one',
      })
      .option('anon-uid', anonymousOption('user'))
      .option('anon-gid', anonymousOption('group'))
      .option('map-uid', mapOption('user'))
      .option('map-gid', mapOption('group'))
      .option('json', { type: 'boolean', default: false, describe: 'list: as JSON' })
      .example([
        [`${call} add /photos --to client/laptop --read-only`, 'the laptop sees /photos, and nothing else'],
        [`${call} add / --to 10.0.0.0/24 --no-root-squash`, 'root of those machines is root'],
        [`${call} add / --to client/desk --map-uid 1000:2000`, "the desk's user 1000 is user 2000"],
        [`${call} remove 3`, ''],
      ])
      .epilog(
        'Of the rules that match a machine the most precise ones count, and no others: its name, else the smallest range of addresses, ' +
          "else its role, else '*'. Machines that lose a right are disconnected at once. Loopback needs no rule.",
      ),
  async run(parameters) {
    const { action, what, server, to, json } = parameters;
    if ((what !== undefined) !== (action !== 'list'))
      throw new UsageError('add takes a directory and remove a number, and list neither');
    if ((to !== undefined) !== (action === 'add')) throw new UsageError('--to says for whom, with add alone');
    const settings = { ...parameters, role: 'admin' as const };
    await withFileSystem('export', chooseServer(server), settings, async ({ cluster }) => {
      if (action === 'add') {
        const id = await cluster.addExport({ ...ruleOf(parameters), ...placeOf(what, to) });
        await writeOut(`export ${id}\n`);
        return;
      }
      if (action === 'remove') {
        await cluster.removeExport(numberOf(what));
        return;
      }
      const rules = await cluster.exports();
      await writeOut(json ? `${JSON.stringify(rules.map(shown), null, 2)}\n` : `${tableOf(rules)}\n`);
    });
  },
});

function anonymousOption(who: string) {
  return {
    type: 'string',
    requiresArg: true,
    default: String(ANONYMOUS_ID),
    coerce: (text: string): number => parseCount(text, `number of a ${who}`, 1, MAX_ID),
    describe: `add: the number of the anonymous ${who}`,
  } as const;
}

function mapOption(who: string) {
  return {
    type: 'string',
    array: true,
    requiresArg: true,
    default: [] as string[],
    coerce: (texts: readonly string[]): IdRange[] => texts.map(parseIdRange),
    describe: `add: THERE:HERE[:COUNT], the machine's ${who} THERE is ${who} HERE of the cluster, and so on for COUNT of them; others are anonymous`,
  } as const;
}

interface RuleParameters {
  readonly readOnly: boolean;
  readonly rootSquash: boolean;
  readonly allSquash: boolean;
  readonly anonUid: number;
  readonly anonGid: number;
  readonly mapUid: IdRange[];
  readonly mapGid: IdRange[];
}

function ruleOf(parameters: RuleParameters): Omit<ExportRule, 'id' | 'root' | 'path' | 'target'> {
  const { readOnly, rootSquash, allSquash, anonUid, anonGid, mapUid: uids, mapGid: gids } = parameters;
  const squash = allSquash ? 'all' : rootSquash ? 'root' : 'none';
  return { readOnly, squash, anonUid, anonGid, uids, gids };
}

function placeOf(path: string | undefined, to: string | undefined): Pick<ExportRule, 'path' | 'target'> {
  if (path?.startsWith('/') !== true)
    throw new UsageError('say which directory, from the root on, e.g. /photos');
  return { path: namesOf(Buffer.from(path)), target: to ?? '' };
}

function numberOf(text: string | undefined): number {
  const id = /^\d{1,15}$/.test(text ?? '') ? Number(text) : 0;
  if (id > 0) return id;
  throw new DfsError('ENOENT', `there is no export ${text}; dfs export list shows those there are`);
}

function pathOf({ path }: ExportRule): string {
  return `/${path.map(name => Buffer.from(name).toString()).join('/')}`;
}

function shown(rule: ExportRule): object {
  const { id, target: to, readOnly, squash, anonUid, anonGid, uids, gids } = rule;
  return { id, path: pathOf(rule), to, readOnly, squash, anonUid, anonGid, uids, gids };
}

function tableOf(rules: readonly ExportRule[]): string {
  const table = tableFor({
    head: ['id', 'directory', 'for', 'access', 'users'],
    colAligns: ['right', 'left', 'left', 'left', 'left'],
  });
  for (const rule of rules) {
    const access = rule.readOnly ? 'read-only' : 'read and write';
    table.push([String(rule.id), pathOf(rule), rule.target, access, usersOf(rule)]);
  }
  return table.toString();
}

/** Which users of the cluster a machine's users are, in words. */
function usersOf({ squash, anonUid, anonGid, uids, gids }: ExportRule): string {
  const anonymous = `${anonUid}:${anonGid}`;
  if (squash === 'all') return `all are ${anonymous}`;
  const root = squash === 'root' ? [`root is ${anonymous}`] : [];
  const ranges = [
    ...uids.map(each => `uid ${rangeText(each)}`),
    ...gids.map(each => `gid ${rangeText(each)}`),
  ];
  if (ranges.length > 0) return [...root, ...ranges, `others are ${anonymous}`].join(', ');
  return root[0] ?? 'as they are';
}

function rangeText({ client, cluster, count }: IdRange): string {
  return count === 1 ? `${client} is ${cluster}` : `${client} is ${cluster}, and so on for ${count}`;
}
