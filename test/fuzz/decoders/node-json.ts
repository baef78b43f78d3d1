/** `node.json`, by which a data node knows who it is (src/datanode/node-identity.ts). */
import { crc32 } from 'node:zlib';
import { loadIdentity, saveIdentity } from '../../../src/datanode/node-identity.js';
import { systemRandom } from '../../../src/platform/random.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { promise, type Decoder } from '../decoder.js';
import { MemoryDisk } from '../memory-disk.js';

const NAME = 'node.json';

export const nodeJson: Decoder = {
  name: 'node-json',
  words: ['"version":', '"id":', '"node":', '"cluster":', '"sum":', '"__proto__":', '\\u0000', '{', '}'],
  async make(random) {
    const disk = new MemoryDisk();
    const identity = {
      version: 1,
      id: random.bytes(8).toString('hex'),
      node: random.integer(0, 99),
      cluster: random.bytes(16).toString('hex'),
    };
    await saveIdentity(disk, '/', identity);
    return disk.files.get(NAME) ?? Buffer.alloc(0);
  },
  mend(input) {
    try {
      const { version, id, node, cluster } = JSON.parse(input.toString('utf8')) as Record<string, unknown>;
      const sum = crc32(JSON.stringify([version, id, node, cluster]));
      return Buffer.from(JSON.stringify({ version, id, node, cluster, sum }));
    } catch {
      return input;
    }
  },
  async decode(input) {
    const disk = new MemoryDisk();
    disk.files.set(NAME, input);
    const identity = await loadIdentity(disk, '/', systemRandom);
    promise(Number.isSafeInteger(identity.node) && identity.node >= 0, 'a node has a number');
    promise(typeof identity.id === 'string' && identity.id !== '', 'a node has an identity');
    await saveIdentity(disk, '/', identity);
    const again = await loadIdentity(disk, '/', systemRandom);
    promise(
      JSON.stringify(again) === JSON.stringify(identity),
      'an identity that is written again is another one',
    );
  },
  mayThrow: error => error instanceof DfsError && error.code === 'EINVAL',
};
