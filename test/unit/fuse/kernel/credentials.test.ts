import t from 'tap';
import { credentialsOf, parseCredentials } from '../../../../src/fuse/kernel/credentials.js';

t.test('the groups and capabilities of a process are those of /proc/PID/status', async t => {
  const status = 'Name:\tx\nGid:\t1\t1\t1\t1\nGroups:\t4 24 1000 \nCapEff:\t0000000000000000\n';
  t.same(parseCredentials(status), { groups: [4, 24, 1000], isCapable: false });
  t.same(parseCredentials('Name:\tx\nGroups:\t \n'), { groups: [], isCapable: false });
  for (const [mask, isCapable] of [
    ['0000000000000002', true], // CAP_DAC_OVERRIDE
    ['0000000000000008', true], // CAP_FOWNER
    ['0000000000000400', false], // CAP_NET_BIND_SERVICE
    ['000001ffffffffff', true],
  ] as const) {
    t.equal(parseCredentials(`Groups:\t\nCapEff:\t${mask}\n`).isCapable, isCapable, mask);
  }
  // getgroups(2) may name the effective group as well.
  const own = await credentialsOf(process.pid);
  t.ok(own?.groups.every(group => process.getgroups?.().includes(group)));
  t.equal(await credentialsOf(0x7fff_ffff), undefined, 'no such process');
});
