/** Whether the kernel may keep names, by what is seen of overlay file systems (fuse/kernel/overlay-names.ts). */
import t from 'tap';
import { OverlayNames } from '../../../../src/fuse/kernel/overlay-names.js';
import { RenameFlag } from '../../../../src/protocol/namespace-commands.js';
import { ManualClock } from '../../../support/manual-clock.js';

const LEASED_MS = 1000;

function names(keepsNames = true) {
  const clock = new ManualClock();
  return { clock, overlay: new OverlayNames({ clock, keepsNames, leasedMs: LEASED_MS }) };
}

t.test('without a sign of an overlay the kernel may keep names, and so has some to drop', async t => {
  const { clock, overlay } = names();
  clock.advance(10 * LEASED_MS);
  overlay.sawRename(RenameFlag.noreplace | RenameFlag.exchange);
  overlay.sawRename(0);
  for (const name of ['user.colour', 'user.overlay', 'user.overlayx', 'security.trusted.overlay.opaque'])
    overlay.sawAttribute(Buffer.from(name));
  t.ok(overlay.mayKeep);
  t.notOk(overlay.isClear);
  overlay.forgotten();
  t.ok(overlay.mayKeep, 'what was dropped may be kept anew');
  t.notOk(overlay.isClear);
});

for (const name of ['trusted.overlay.opaque', 'user.overlay.origin', 'trusted.overlay.']) {
  t.test(`${name} is a sign of an overlay`, async t => {
    const { overlay } = names();
    overlay.sawAttribute(Buffer.from(name));
    t.notOk(overlay.mayKeep);
  });
}

t.test('a whiteout is a sign, also together with other flags', async t => {
  const { overlay } = names();
  overlay.sawRename(RenameFlag.whiteout | RenameFlag.noreplace);
  t.notOk(overlay.mayKeep);
});

t.test(
  'names that were told before are there to be dropped until the time they were told for is over',
  async t => {
    const { clock, overlay } = names();
    clock.advance(500);
    overlay.sawRename(RenameFlag.whiteout);
    t.notOk(overlay.isClear);
    clock.advance(LEASED_MS);
    t.notOk(overlay.isClear, 'what was told in the last millisecond');
    clock.advance(1);
    t.ok(overlay.isClear);
    t.notOk(overlay.mayKeep, 'and none is kept from here on');
  },
);

t.test('a second sign does not make it longer', async t => {
  const { clock, overlay } = names();
  overlay.sawRename(RenameFlag.whiteout);
  clock.advance(LEASED_MS / 2);
  overlay.sawAttribute(Buffer.from('trusted.overlay.opaque'));
  overlay.sawRename(RenameFlag.whiteout);
  clock.advance(LEASED_MS / 2 + 1);
  t.ok(overlay.isClear);
});

t.test('when every name was dropped there is none left to drop', async t => {
  const { overlay } = names();
  overlay.sawRename(RenameFlag.whiteout);
  overlay.forgotten();
  t.ok(overlay.isClear);
  t.notOk(overlay.mayKeep);
});

t.test('--no-keep-names: there is never any', async t => {
  const { overlay } = names(false);
  t.notOk(overlay.mayKeep);
  t.ok(overlay.isClear, 'from the first moment on');
});
