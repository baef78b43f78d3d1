/** What the kernel tells as text: /proc/self/mountinfo, with names that any user may have made, and /proc/PID/status. */
import { parseCredentials } from '../../../src/fuse/kernel/credentials.js';
import { escapeMountPoint, parseMountTable } from '../../../src/fuse/mount-table.js';
import { promise, type Decoder } from '../decoder.js';

const NAMES = [
  '/',
  '/mnt/dfs',
  '/mnt/a b',
  '/mnt/\\',
  '/mnt/- x',
  '/mnt/\n36 35 0:1 / /etc rw - x y z',
  '/mnt/\t',
];

export const mountTable: Decoder = {
  name: 'mount-table',
  words: [' - ', '\\040', '\\012', '\\', '\n', 'Groups:\t', 'CapEff:\t', 'CapEff:\t0000003fffffffff\n', ':'],
  make(random) {
    if (random.isChance(0.3)) {
      return Buffer.from(
        `Name:\tx\nGroups:\t${random.integer(0, 99)} ${random.u32()}\nCapEff:\t${random.bytes(8).toString('hex')}\n`,
      );
    }
    const line = (): string => {
      const [source, point] = [random.pick(NAMES), random.pick(NAMES)].map(escapeMountPoint);
      return `${random.integer(1, 99)} 28 0:${random.integer(0, 99)} / ${point} rw,nosuid shared:1 - fuse.dfs ${source} rw\n`;
    };
    return Buffer.from(Array.from({ length: random.integer(0, 5) }, line).join(''));
  },
  decode(input) {
    const text = input.toString('utf8');
    for (const { mountPoint, type, source, deviceMinor } of parseMountTable(text)) {
      promise(typeof deviceMinor === 'number', 'a device has a number');
      promise(
        [mountPoint, type, source].every(each => typeof each === 'string'),
        'an entry has its fields',
      );
    }
    // As every mount point, it begins with a slash.
    const point = `/${text.slice(0, 100)}`;
    const [entry] = parseMountTable(`1 2 0:3 / ${escapeMountPoint(point)} rw - fuse.dfs source rw`);
    promise(entry?.mountPoint === point, 'a name that is escaped is read as it was');
    const { groups } = parseCredentials(input.toString('latin1'));
    promise(Array.isArray(groups), 'there is a list of groups');
  },
  mayThrow: () => false,
};
