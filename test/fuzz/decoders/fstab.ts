/** /etc/fstab, in which a line of ours is put beside whatever others have written (src/cli/mount/fstab.ts). */
import { fstabLine, withEntry } from '../../../src/cli/mount/fstab.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { promise, type Decoder } from '../decoder.js';

const LINES = [
  '# a comment',
  '',
  'UUID=0a1b / ext4 errors=remount-ro 0 1',
  '10.0.0.1:/ /mnt/dfs dfs _netdev 0 0',
  '  10.0.0.1:/ /mnt/dfs/ dfs _netdev',
  '/dev/sdb1\t/mnt/a\\040b\text4',
  'none',
];
const ENTRY = { source: '10.0.0.1:/', mountPoint: '/mnt/dfs', type: 'dfs', options: ['_netdev', 'ro'] };

export const fstab: Decoder = {
  name: 'fstab',
  words: ['/mnt/dfs', ' dfs ', '\\040', '\n', '#', '\t', '\r', '\\057mnt/dfs', '/mnt/dfs//'],
  make: random => Buffer.from(LINES.filter(() => random.isChance(0.6)).join('\n')),
  decode(input) {
    const text = input.toString('latin1');
    const once = withEntry(text, ENTRY);
    const line = fstabLine(ENTRY);
    promise(once.endsWith('\n') && once.split('\n').includes(line), 'the line is there');
    promise(withEntry(once, ENTRY) === once, 'the line is there once, however often it is written');
    const before = text.replace(/\n$/, '').split('\n');
    const after = once.replace(/\n$/, '').split('\n');
    const changed = before.filter((each, index) => after[index] !== each);
    promise(
      text === '' || (changed.length <= 1 && after.length - before.length <= 1),
      'no other line is touched',
    );
  },
  mayThrow: error => error instanceof DfsError && error.code === 'EEXIST',
};
