/** What the name cache answers while the server changes names, and after that (client/namespace/changing-names.ts). */
import t from 'tap';
import { NameCache } from '../../../../src/client/caches/name-cache.js';
import { CacheLease } from '../../../../src/client/leases/cache-lease.js';
import { changingNames } from '../../../../src/client/namespace/changing-names.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { LOG, refusal } from '../../metadata/support/harness.js';

const [FROM, TO] = [1, 2];
const [OLD, NEW, OTHER] = [Buffer.from('old'), Buffer.from('new'), Buffer.from('other')];
const CHANGED = [
  [FROM, OLD],
  [TO, NEW],
] as const;

/** Two directories of which every name is known. */
async function scene() {
  const lease = new CacheLease(new ManualClock(), LOG);
  lease.want();
  lease.grant(0, 60_000);
  await lease.begun();
  const names = new NameCache(lease, 1 << 20);
  names.created(lease.ticket(), FROM, FROM);
  names.created(lease.ticket(), TO, FROM);
  names.linked(FROM, OLD, 5);
  names.linked(TO, OTHER, 6);
  return { lease, names };
}

t.test('the names that are being changed are not answered, others are', async t => {
  const { names } = await scene();
  const change = async (): Promise<string> => {
    t.same([names.find(FROM, OLD), names.find(TO, NEW)], [undefined, undefined]);
    t.same([names.find(FROM, NEW), names.find(TO, OTHER)], [0, 6]);
    return 'moved';
  };
  const learn = (reply: string, ticket: number): void => {
    t.equal(reply, 'moved');
    names.unlinked(FROM, OLD, ticket);
    names.linked(TO, NEW, 5, ticket);
  };
  t.equal(await changingNames(names, CHANGED, change, learn), 'moved');
  t.same([names.find(FROM, OLD), names.find(TO, NEW)], [0, 5], 'what came of it is known');
});

t.test('a refusal says that nothing was changed', async t => {
  for (const code of [
    'EEXIST',
    'ENOENT',
    'ENOTEMPTY',
    'EACCES',
    'EPERM',
    'EISDIR',
    'ENOTDIR',
    'EXDEV',
    'EMLINK',
  ] as const) {
    const { names } = await scene();
    const refused = async (): Promise<void> => await Promise.reject(new DfsError(code, 'no'));
    const learn = (): void => void t.fail('there is nothing to learn');
    t.equal(await refusal(changingNames(names, CHANGED, refused, learn)), code);
    t.same([names.find(FROM, OLD), names.find(TO, NEW), names.find(TO, OTHER)], [5, 0, 6], code);
  }
});

t.test('after any other failure nothing is known of the directories', async t => {
  const { names } = await scene();
  const failed = async (): Promise<void> => await Promise.reject(new DfsError('EIO', 'no answer'));
  t.equal(await refusal(changingNames(names, CHANGED, failed, () => undefined)), 'EIO');
  t.same([names.find(FROM, OLD), names.find(TO, OTHER)], [undefined, undefined]);
});

t.test('what others changed meanwhile is not overwritten by an older answer', async t => {
  const { names, lease } = await scene();
  const change = async (): Promise<void> =>
    await lease.revoke({
      inodes: [],
      names: [{ parent: TO, name: NEW }],
      directories: [],
      everything: false,
    });
  await changingNames(names, [[TO, NEW]], change, (_, ticket) => names.linked(TO, NEW, 5, ticket));
  t.equal(names.find(TO, NEW), undefined);
});
