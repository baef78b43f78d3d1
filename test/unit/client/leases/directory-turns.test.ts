/** When a client asks for its turn in a directory (client/leases/directory-turns.ts). */
import t from 'tap';
import { DirectoryTurns } from '../../../../src/client/leases/directory-turns.js';
import { leasedClient } from '../support/leased-client.js';

const DIRECTORY = 2;

async function fixture() {
  const { clock, held } = await leasedClient();
  const asked: number[] = [];
  const turns = new DirectoryTurns({ clock, held, acquire: async directory => asked.push(directory) });
  return { clock, held, asked, turns };
}

t.test('a directory that nobody else changes is never asked for', async t => {
  const { turns, asked, held } = await fixture();
  t.notOk(turns.isContested(DIRECTORY));
  await turns.take(DIRECTORY, true);
  held.add(DIRECTORY);
  turns.noteRefused(DIRECTORY);
  t.notOk(turns.isContested(DIRECTORY), 'it was given by another answer meanwhile');
  t.same(asked, []);
});

t.test(
  'one that was not given is asked for before each change, and before a look that goes with it',
  async t => {
    const { turns, asked, clock } = await fixture();
    turns.noteRefused(DIRECTORY);
    await turns.take(DIRECTORY, false);
    await turns.take(DIRECTORY, true);
    t.same(asked, [DIRECTORY, DIRECTORY]);
    clock.advance(51);
    await turns.take(DIRECTORY, false);
    t.equal(asked.length, 2, 'who only looks waits for no turn');
    await turns.take(DIRECTORY, true);
    await turns.take(DIRECTORY, false);
    t.equal(asked.length, 4);
  },
);

t.test('a change need not wait where nobody else changes names, nor in this client’s turn', async t => {
  const { turns, asked, held, clock } = await fixture();
  t.ok(turns.takeNow(DIRECTORY));
  t.notOk(turns.mayDelayLookup(DIRECTORY));
  turns.noteRefused(DIRECTORY);
  t.notOk(turns.takeNow(DIRECTORY));
  t.ok(turns.mayDelayLookup(DIRECTORY));
  clock.advance(51);
  t.notOk(turns.mayDelayLookup(DIRECTORY), 'it only looks');
  held.add(DIRECTORY);
  t.ok(turns.takeNow(DIRECTORY));
  t.notOk(turns.mayDelayLookup(DIRECTORY));
  t.same(asked, []);
});

t.test('while this client has the directory nothing is asked', async t => {
  const { turns, asked, held } = await fixture();
  turns.noteRefused(DIRECTORY);
  held.add(DIRECTORY);
  await turns.take(DIRECTORY, true);
  t.same(asked, []);
});
