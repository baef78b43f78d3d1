import { DfsError } from '../../protocol/errors.js';
import { publicKeyOfSpki } from '../../identity/ed25519.js';
import { ROLES } from '../../protocol/roles.js';
import { clientOptions, withFileSystem } from '../client-options.js';
import { defineCommand } from '../command.js';
import { formatToken } from '../join-token.js';
import { parseLifetime } from '../quantity.js';
import { secureOutput } from '../secure-output.js';
import { chooseServer, SERVER_DESCRIPTION } from '../server-choice.js';
import { writeOut } from '../standard-output.js';
import { tableFor } from '../table.js';
import { UsageError } from '../usage-error.js';

export const token = defineCommand({
  name: 'token',
  positionals: '<action> [id]',
  summary: 'Make a token by which a machine joins the cluster, list those there are, or revoke one',
  declare: (yargs, call) =>
    clientOptions(yargs)
      .positional('action', {
        choices: ['create', 'list', 'revoke'] as const,
        demandOption: true,
        describe: 'make one, and print it; show those that count; have one count no more',
      })
      .positional('id', { type: 'string', describe: 'revoke: which one, as list shows it' })
      .option('server', { type: 'string', requiresArg: true, describe: SERVER_DESCRIPTION })
      .option('role', {
        choices: ROLES,
        default: 'client' as const,
        describe: 'create: what whoever has it may become: a client, a data node, or an administrator',
      })
      .option('expires', {
        type: 'string',
        requiresArg: true,
        default: '1h',
        coerce: parseLifetime,
        describe: 'create: for how long it counts, e.g. 30min, 1h, 7d',
      })
      .option('once', {
        type: 'boolean',
        default: true,
        describe: 'create: one machine may join by it; --no-once: any number',
      })
      .option('json', { type: 'boolean', default: false, describe: 'list: as JSON' })
      .example([
        [`${call} create --role node`, 'for one data node, within an hour'],
        [`${call} create --role client --expires 7d --no-once`, 'for all clients, within a week'],
        [`${call} revoke 5f3a…`, ''],
      ]),
  async run(parameters) {
    const { action, id, server, role, expires, once, json } = parameters;
    if ((id !== undefined) !== (action === 'revoke'))
      throw new UsageError('revoke takes an id, and nothing else does');
    const settings = { ...parameters, role: 'admin' as const };
    await withFileSystem('token', chooseServer(server), settings, async ({ cluster }) => {
      if (action === 'create') {
        secureOutput({ program: 'dfs token', secret: 'a token' });
        const made = await cluster.createToken({ role, lifetimeMs: expires, isForOne: once });
        await writeOut(`${formatToken({ ...made, role, authority: publicKeyOfSpki(made.authority) })}\n`);
        return;
      }
      const tokens = await cluster.tokens();
      if (action === 'revoke') {
        const [found, ...others] = tokens.filter(each => idText(each.id).startsWith(id ?? ''));
        if (!found || others.length > 0)
          throw new DfsError(
            'ENOENT',
            `there is ${found ? 'more than one token' : 'no token'} ${id}; dfs token list shows them`,
          );
        await cluster.revokeToken(found.id);
        return;
      }
      const rows = tokens.map(each => ({
        id: idText(each.id),
        role: each.role,
        machines: each.isForOne ? 'one' : 'any number',
        expires: new Date(each.expiresMs).toISOString(),
      }));
      if (json) await writeOut(`${JSON.stringify(rows, null, 2)}\n`);
      else {
        const table = tableFor({
          head: ['id', 'role', 'for', 'expires'],
          colAligns: ['left', 'left', 'left', 'left'],
        });
        for (const each of rows) table.push([each.id, each.role, each.machines, each.expires]);
        await writeOut(`${table.toString()}\n`);
      }
    });
  },
});

function idText(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
