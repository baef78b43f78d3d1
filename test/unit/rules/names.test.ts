import t from 'tap';
import { MAX_NAME_BYTES } from '../../../src/protocol/limits.js';
import {
  entryNameRefusal,
  nameRefusal,
  newNameRefusal,
  symlinkTargetRefusal,
} from '../../../src/rules/names.js';

const bytes = (text: string): Buffer => Buffer.from(text);

t.test('POSIX 4.16: names', async t => {
  t.equal(nameRefusal(bytes('a')), undefined);
  t.equal(nameRefusal(bytes(''))?.code, 'ENOENT');
  t.equal(nameRefusal(Buffer.alloc(MAX_NAME_BYTES + 1, 0x61))?.code, 'ENAMETOOLONG');
  t.equal(nameRefusal(bytes('a/b'))?.code, 'EINVAL');
  t.equal(nameRefusal(bytes('a\0'))?.code, 'EINVAL');
  for (const dots of ['.', '..']) {
    t.equal(newNameRefusal(bytes(dots))?.code, 'EEXIST');
    t.equal(entryNameRefusal(bytes(dots))?.code, 'EINVAL');
  }
  t.equal(newNameRefusal(bytes('...')), undefined);
  t.equal(symlinkTargetRefusal(bytes(''))?.code, 'ENOENT');
  t.equal(symlinkTargetRefusal(Buffer.alloc(5000, 0x61))?.code, 'ENAMETOOLONG');
  t.equal(symlinkTargetRefusal(bytes('a\0b'))?.code, 'EINVAL');
  t.equal(symlinkTargetRefusal(bytes('../a/b')), undefined);
});
