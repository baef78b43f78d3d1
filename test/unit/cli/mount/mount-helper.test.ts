/** What mount(8) gives mount.dfs (cli/mount/mount-helper.ts). */
import t from 'tap';
import { mount } from '../../../../src/cli/commands/mount.js';
import { helperCall, helperExitCode } from '../../../../src/cli/mount/mount-helper.js';
import { UsageError } from '../../../../src/cli/usage-error.js';

/** What is given to `dfs mount` for these options, besides what every call has. */
function translated(options: string, ...flags: string[]): readonly string[] {
  const { parameters = [] } = helperCall(mount, ['10.0.0.1:/', '/mnt/dfs', ...flags, '-o', options]);
  return parameters.slice(3, -2);
}

function refusal(options: string): string {
  try {
    translated(options);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error(`${options} was taken`);
}

t.test('arguments come as mount(8) gives them', async t => {
  t.strictSame(helperCall(mount, ['10.0.0.1:/', '/mnt/dfs', '-n', '-o', 'rw,noatime']).parameters, [
    'mount',
    '--background',
    '--quiet',
    '--no-read-only',
    '--atime=noatime',
    '10.0.0.1:/',
    '/mnt/dfs',
  ]);
  t.strictSame(helperCall(mount, ['-v', 'h:/', '/m', '-oro', '-t', 'dfs']).parameters, [
    'mount',
    '--background',
    '--read-only',
    'h:/',
    '/m',
  ]);
  t.equal(helperCall(mount, ['h:/', '/m', '-f', '-o', 'ro']).parameters, undefined, 'a dry run');
  for (const wrong of [['h:/'], ['h:/', '/m', '/n'], ['h:/', '/m', '-x'], ['h:/', '/m', '-o']])
    t.throws(() => helperCall(mount, wrong), UsageError);
});

t.test('options of mount(8) and of fstab(5) are understood', async t => {
  t.strictSame(translated('ro,relatime,nosuid,nodev,noexec,allow_other'), [
    '--read-only',
    '--atime=relatime',
    '--no-suid',
    '--no-dev',
    '--no-exec',
    '--allow-other',
  ]);
  t.strictSame(
    translated('defaults,auto,noauto,nofail,_netdev,user,user=me,x-systemd.automount,x-a=b,comment=x'),
    [],
  );
  t.strictSame(translated('goal=3,cache-size=64M,key_file=/etc/key,no-keep-names'), [
    '--goal=3',
    '--cache-size=64M',
    '--key-file=/etc/key',
    '--no-keep-names',
  ]);
  t.strictSame(translated('key-file="/a,b=c"'), ['--key-file=/a,b=c'], 'a comma within quotes');
});

t.test('other options are refused by name, unless mount is to be sloppy', async t => {
  t.equal(refusal('ro,gaol=3'), "there is no mount option 'gaol'; did you mean 'goal'?");
  t.match(refusal('nonsense-of-mine'), /no mount option 'nonsense-of-mine'; man mount\.dfs/);
  t.match(refusal('background'), /no mount option 'background'/);
  t.match(refusal('goal'), /needs a value/);
  t.match(refusal('keep-names=1'), /takes no value/);
  t.match(refusal('remount,ro'), /cannot be remounted/);
  t.strictSame(translated('gaol=3,ro', '-s'), ['--read-only']);
});

t.test('exit codes are those of mount(8)', async t => {
  t.strictSame([0, 1, 2].map(helperExitCode), [0, 32, 1]);
});
