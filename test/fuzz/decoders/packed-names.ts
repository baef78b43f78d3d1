/** A page of names that the metadata server lists without attributes (protocol/packed-names.ts). */
import { DfsError } from '../../../src/protocol/errors.js';
import { MAX_NAME_BYTES } from '../../../src/protocol/limits.js';
import { PackedNames } from '../../../src/protocol/packed-names.js';
import { newNameRefusal } from '../../../src/rules/names.js';
import { promise, type Decoder } from '../decoder.js';

const SLASH = 0x2f;
/** The input begins with how many entries there are said to be. */
const COUNT_BYTES = 2;

export const packedNames: Decoder = {
  name: 'packed-names',
  words: ['/', '.', '..', '/8', '/4', '9007199254740991', '\0'],
  make(random) {
    const names = Array.from({ length: random.integer(0, 12) }, () =>
      Buffer.from(
        random.bytes(1 + random.integer(0, 8)).map(byte => (byte === 0 || byte === SLASH ? 1 : byte)),
      ),
    );
    const sorted = names.sort((a, b) => Buffer.compare(a, b));
    const entries = sorted.map(name =>
      Buffer.concat([
        name,
        Buffer.from(`/${random.pick(['8', '4', ':'])}${1 + random.integer(0, 1 << 20)}/`),
      ]),
    );
    const count = Buffer.alloc(COUNT_BYTES);
    count.writeUInt16LE(entries.length);
    return Buffer.concat([count, ...entries]);
  },
  decode(input) {
    if (input.length < COUNT_BYTES) return;
    const names = PackedNames.decode(input.subarray(COUNT_BYTES), input.readUInt16LE(0), new Uint8Array());
    let last: Buffer = Buffer.alloc(0);
    for (let index = 0; index < names.count; index += 1) {
      const name = names.nameAt(index);
      promise(newNameRefusal(name) === undefined && name.length <= MAX_NAME_BYTES, 'a name that is none');
      promise(Buffer.compare(name, last) > 0, 'names out of order');
      promise(names.firstBehind(last) === index, 'a name is not found');
      last = name;
    }
    promise(names.firstBehind(last) === names.count, 'something comes behind the last');
  },
  mayThrow: error => error instanceof DfsError && error.code === 'EPROTO',
};
