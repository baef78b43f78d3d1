"""run.py AREA DIRECTORY [SECOND_DIRECTORY] [--only SUBSTRING] [--limit SECONDS]

Runs the cases of one area, and says how each went in a line of JSON. SECOND_DIRECTORY is the same directory by way of
another mount. As root.
"""
import argparse
import importlib.util
import json
import os
import shutil
import signal
import sys
import traceback

sys.dont_write_bytecode = True
import harness

AREAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'areas')
#: Of one case, that are said.
MOST_FAILURES = 8


def end_children():
    """A case that failed may have left some that wait for each other."""
    with open('/proc/self/task/%d/children' % os.getpid()) as children:
        for pid in children.read().split():
            os.kill(int(pid), signal.SIGKILL)


def run_case(function, limit):
    """In a child process: what a case leaves behind (users, limits, locks, descriptors) ends with it."""
    def body():
        def too_long(*_):
            raise TimeoutError('took over %d s' % limit)
        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(limit)
        os.umask(0o022)
        try:
            function()
        except harness.Skip as reason:
            return str(reason)
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)
            ours = [each.lineno for each in line if '/areas/' in each.filename]
            harness.fail('%s at line %s: %s' % (type(error).__name__, ours[-1] if ours else '?', error))
        finally:
            end_children()
        return None
    harness.Report.assertions, harness.Report.failures = 0, []
    skipped = harness.in_child(body)
    return harness.Report.assertions, harness.Report.failures, skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('area')
    parser.add_argument('directory')
    parser.add_argument('second', nargs='?')
    parser.add_argument('--only', default='')
    parser.add_argument('--limit', type=int, default=60)
    options = parser.parse_args()
    # By its path: `mmap` and `stat` are modules of Python, too.
    spec = importlib.util.spec_from_file_location('area_' + options.area, os.path.join(AREAS, options.area + '.py'))
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    home = os.getcwd()
    for index, (rule, source, function) in enumerate(harness.CASES):
        if options.only not in rule:
            continue
        name = '%s-%d-%d' % (options.area, os.getpid(), index)
        work = os.path.join(options.directory, name)
        os.mkdir(work)
        os.chmod(work, 0o755)
        harness.Report.second = options.second and os.path.join(options.second, name)
        os.chdir(work)
        assertions, failures, skipped = run_case(function, options.limit)
        os.chdir(home)
        if len(failures) > MOST_FAILURES:
            failures[MOST_FAILURES:] = ['%d more' % (len(failures) - MOST_FAILURES)]
        result = {'rule': rule, 'source': source, 'assertions': assertions, 'failures': failures}
        if skipped:
            result['skipped'] = skipped
        print(json.dumps(result), flush=True)
        shutil.rmtree(work)
    print(json.dumps({'done': True}), flush=True)


main()
