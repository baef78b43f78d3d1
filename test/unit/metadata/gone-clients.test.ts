import t from 'tap';
import { GoneClients } from '../../../src/metadata/gone-clients.js';
import { createLogger } from '../../../src/platform/log.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { refusal } from './support/harness.js';

const SESSION = 7;

/** Clients that are gone from a server whose database does what the test says. */
function scripted(outcome: DfsError | undefined, isForfeited: boolean) {
  const said: string[] = [];
  const ended: number[] = [];
  const log = createLogger('test', 'silent');
  Object.assign(log, {
    warn: (_: object, text: string) => said.push(`warn: ${text}`),
    error: (_: object, text: string) => said.push(`error: ${text}`),
  });
  const clients = new GoneClients({
    log,
    state: {
      exclusive: { isForfeited: () => isForfeited },
      locks: { end: (session: number) => void ended.push(session) },
      // Of the state nothing else is looked at.
    } as unknown as ConstructorParameters<typeof GoneClients>[0]['state'],
    run: async () => await (outcome ? Promise.reject(outcome) : Promise.resolve(false)),
  });
  return { clients, said, ended };
}

t.test('what a client that is gone has lost is said, if it had anything', async t => {
  const lost = scripted(undefined, true);
  await lost.clients.forfeit(SESSION);
  t.match(lost.said, [/^warn: a client is gone/]);
  const nothing = scripted(undefined, false);
  await nothing.clients.forfeit(SESSION);
  t.same(nothing.said, []);
});

t.test('a database that does not take it holds nobody up for ever: it is tried again', async t => {
  const { clients, said } = scripted(new DfsError('ENOSPC', 'for a test'), false);
  await clients.forfeit(SESSION);
  t.match(said, [/^error: a client that is gone holds others up/]);
});

t.test('locks end with the session, once that is on record', async t => {
  const { clients, ended } = scripted(undefined, false);
  await clients.fence(SESSION);
  t.same(ended, [SESSION]);
  const full = scripted(new DfsError('ENOSPC', 'for a test'), false);
  t.equal(await refusal(full.clients.fence(SESSION)), 'ENOSPC');
  t.same(full.ended, []);
});
