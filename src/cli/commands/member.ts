import { DfsError } from '../../protocol/errors.js';
import { ROLES, type Role } from '../../protocol/roles.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { chooseServer, SERVER_DESCRIPTION } from '../server-choice.js';
import { writeOut } from '../standard-output.js';
import { tableFor } from '../table.js';
import { UsageError } from '../usage-error.js';

export const member = defineCommand({
  name: 'member',
  positionals: '<action> [name]',
  summary: 'List the machines that have joined the cluster, or remove one',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('action', {
        choices: ['list', 'remove'] as const,
        demandOption: true,
        describe: 'show the members; have the certificates of one count nowhere any more',
      })
      .positional('name', {
        type: 'string',
        describe: 'remove: which one, as list shows it: ROLE/NAME, or NAME',
      })
      .option('server', { type: 'string', requiresArg: true, describe: SERVER_DESCRIPTION })
      .option('json', { type: 'boolean', default: false, describe: 'list: as JSON' })
      .example([
        [`${call} list`, ''],
        [`${call} remove client/laptop`, 'its connections are cut within a second'],
      ])
      .epilog(
        "A data node that is removed is forgotten by: dfs node remove. Who has a key (dfs key) is no member: change the cluster's key.",
      ),
  async run(parameters) {
    const { action, name, server, json } = parameters;
    if ((name !== undefined) !== (action === 'remove'))
      throw new UsageError('remove takes a name, and nothing else does');
    const settings = { ...parameters, role: 'admin' as const };
    await withFileSystem('member', chooseServer(server), settings, async ({ cluster }) => {
      const members = await cluster.members();
      if (name !== undefined) {
        const found = members.filter(each => each.name === name || `${each.role}/${each.name}` === name);
        const [one, ...others] = found;
        if (!one || others.length > 0) {
          const what = one
            ? `several members are called ${name}; say which: ROLE/${name}`
            : `there is no member ${name}`;
          throw new DfsError('ENOENT', `${what}; dfs member list shows them`);
        }
        await cluster.removeMember(roleOf(one.role), one.name);
        await writeOut(`${one.role}/${one.name} is no member any more\n`);
        return;
      }
      const rows = members.map(each => ({
        name: `${each.role}/${each.name}`,
        joined: new Date(each.joinedMs).toISOString(),
        certificateUntil: each.expiresMs === 0 ? 'expired' : new Date(each.expiresMs).toISOString(),
        connectedFrom: each.addresses,
      }));
      if (json) {
        await writeOut(`${JSON.stringify(rows, null, 2)}\n`);
        return;
      }
      const head = ['member', 'joined', 'certificate until', 'connected from'];
      const table = tableFor({ head, colAligns: ['left', 'left', 'left', 'left'] });
      for (const each of rows)
        table.push([each.name, each.joined, each.certificateUntil, each.connectedFrom.join(', ')]);
      await writeOut(`${table.toString()}\n`);
    });
  },
});

function roleOf(text: string): Role {
  const role = ROLES.find(each => each === text);
  if (role) return role;
  throw new DfsError('EPERM', `a member of role ${text} is not removed`);
}
