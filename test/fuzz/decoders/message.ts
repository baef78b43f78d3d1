/** The msgpack part of a frame, of whatever shape. */
import { isDeepStrictEqual } from 'node:util';
import { DfsError } from '../../../src/protocol/errors.js';
import { decodeMessage, encodeMessage } from '../../../src/protocol/message.js';
import type { SeededRandom } from '../../simulation/world/seeded-random.js';
import { promise, withoutMinusZero, type Decoder } from '../decoder.js';

const KEYS = [
  'inode',
  'name',
  'extents',
  'length',
  '__proto__',
  'constructor',
  'toString',
  '',
  'x'.repeat(40),
];
const CONSTANTS = [null, true, false, undefined, 2 ** 53 - 1, -(2 ** 53) + 1];

export const message: Decoder = {
  name: 'message',
  words: [
    '\xd4\x72\x40',
    '\x93\xa1a\xa1b\xa1c',
    '\xd9\x09__proto__',
    '\xcf',
    '\xcb',
    '\xdf',
    '\xdd\0\0\xff\xff',
    '\xc6',
  ],
  make: random => encodeMessage(anyValue(random, 4)),
  decode(input) {
    const value = decodeMessage(input);
    const again = encodeMessage(value);
    promise(
      isDeepStrictEqual(withoutMinusZero(decodeMessage(again)), withoutMinusZero(value)),
      'a message that is encoded again is another one',
    );
  },
  mayThrow: error => error instanceof DfsError && error.code === 'EPROTO',
};

function anyValue(random: SeededRandom, deeper: number): unknown {
  switch (random.integer(0, deeper > 0 ? 9 : 6)) {
    case 0:
      return random.integer(-40_000, 70_000);
    case 1:
      return random.fraction() * 2 ** random.integer(0, 60);
    case 2:
      return random.bytes(random.integer(0, 40));
    case 3:
      return random.pick(KEYS);
    case 4:
      return CONSTANTS[random.integer(0, CONSTANTS.length)];
    case 5:
      return 'é'.repeat(random.integer(0, 100));
    case 6:
      return Array.from({ length: random.integer(0, 5) }, () => anyValue(random, deeper - 1));
    case 7: {
      // From six on they are written as records.
      const keys = Array.from({ length: random.integer(1, 4) }, () =>
        random.pick(KEYS.filter(key => key !== '__proto__')),
      );
      return {
        list: Array.from({ length: random.integer(1, 9) }, () =>
          Object.fromEntries(keys.map(key => [key, anyValue(random, 0)])),
        ),
      };
    }
    default:
      return Object.fromEntries(
        Array.from({ length: random.integer(0, 5) }, () => [
          random.pick(KEYS.filter(key => key !== '__proto__')),
          anyValue(random, deeper - 1),
        ]),
      );
  }
}
