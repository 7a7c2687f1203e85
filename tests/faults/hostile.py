#!/usr/bin/env python3
"""Runs verify, show, list and restore on hostile and damaged archives.

  hostile.py --bin BIN [--flips 1000] [--seed 1]

Each archive of hostile_tars.py, with and without metadata, is refused, or restored to exactly the good rows. Nothing
outside the target changes, no scratch stays, it takes less than 64 MiB and 5 s, and no control character reaches the terminal.
Then single bytes of a good archive are changed, at --flips random offsets: verify detects each change.
"""
import argparse, os, random, shutil, subprocess, sys, tempfile, threading, time

from invariants import *
from scenarios import make_database

HERE = os.path.dirname(os.path.abspath(__file__))


def measured(args, cwd, env):
    """Runs a command; returns exit code, both outputs, peak memory in KiB, seconds."""
    began = time.time()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        p = subprocess.Popen(args, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        watch = threading.Timer(30, p.kill); watch.start()
        _, status, usage = os.wait4(p.pid, 0)
        watch.cancel()
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0); err.seek(0)
        return p.returncode, out.read(1 << 20), err.read(1 << 20), usage.ru_maxrss, time.time() - began


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--bin', required=True)
    p.add_argument('--flips', type=int, default=1000)
    p.add_argument('--seed', type=int, default=1)
    a = p.parse_args(); a.bin = os.path.abspath(a.bin)
    work = tempfile.mkdtemp(prefix='hostile-', dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
    try: return go(a, work)
    finally: shutil.rmtree(work, ignore_errors=True)


def go(a, work):
    world = f'{work}/w'
    os.makedirs(f'{world}/tmp')
    env = environment(TMPDIR=f'{world}/tmp', HEIRLOOM_STATE_DIR=f'{work}/state')
    make_database(f'{world}/data.db', 'delete', 7, 200)
    good_rows = contents(f'{world}/data.db')
    code, _, err = run([a.bin, 'backup', 'data.db'], world, env)
    if code: raise SystemExit(said(err))
    good = f'{world}/backups/data_20260301T030000Z.tar.gz'
    sentinel = f'{work}/sentinel'
    with open(sentinel, 'w') as f: f.write('must not change')
    bad = cases = refused = 0
    peak = slowest = 0
    # The second compression takes one of the two forms, and the other one with the next seed.
    for form in ([], ['--bare'], ['--zstd'] if a.seed % 2 else ['--zstd', '--bare']):
        out = f'{work}/hostile'
        made = subprocess.run([sys.executable, '-B', f'{HERE}/hostile_tars.py', out, '--good', good, '--member', 'data.db', '--sentinel', sentinel, *form], capture_output=True, text=True)
        if made.returncode: raise SystemExit(made.stderr)
        for name in sorted(os.listdir(out)):
            outside = set(os.listdir(work)) | {n for n in os.listdir('/tmp') if n.startswith('.heirloom')}
            for command in (['verify', f'{out}/{name}'], ['show', f'{out}/{name}'], ['restore', f'{out}/{name}', '--to', 'new.db']):
                code, text, err, memory, took = measured([a.bin, *command], world, env)
                cases += 1; refused += code != 0
                peak, slowest = max(peak, memory), max(slowest, took)
                problems = judge_exit(code, err)
                if any(c < 32 and c not in (9, 10) for c in text): problems.append('raw control character on stdout')
                if memory > 65536: problems.append(f'{memory >> 10} MiB of memory')
                if took > 5: problems.append(f'{took:.1f} s')
                if os.path.exists(f'{world}/new.db'):
                    try:
                        # Without metadata, the rows are unknown.
                        if contents(f'{world}/new.db') != good_rows and not ('--bare' in form and name.startswith('other-rows')): problems.append('restored something else')
                    except ValueError as error: problems.append(f'restored damage: {error}')
                    if code: problems.append(f'exit {code}, and the target is there')
                    for n in os.listdir(world):
                        if n.startswith('new.db'): os.unlink(f'{world}/{n}')
                elif command[0] == 'restore' and code == 0: problems.append('exit 0 and no target')
                if name.partition('.')[0] in ('ok-control', 'ok-gzip-two-members') and '--bare' not in form and code: problems.append(f'the control is refused: {said(err)}')
                left = [n for n in os.listdir(world) if n not in ('data.db', 'backups', 'tmp')] + scratch(world)
                left += list((set(os.listdir(work)) | {n for n in os.listdir('/tmp') if n.startswith('.heirloom')}) - outside)
                if left: problems.append(f'left behind: {left}')
                if open(sentinel).read() != 'must not change': problems.append('WROTE OUTSIDE OF THE TARGET')
                if problems:
                    bad += 1
                    print(f'FAIL {name} {form} {command[0]} exit {code}: {"; ".join(problems)}', flush=True)
        # In the store, too: listing must not be misled.
        for name in os.listdir(out): os.rename(f'{out}/{name}', f'{world}/backups/{name}')
        for command in (['list'], ['list', '--json'], ['verify', 'latest'], ['rotate', '--dry-run']):
            code, text, err, memory, took = measured([a.bin, *command], world, env)
            cases += 1; refused += code != 0
            problems = judge_exit(code, err)
            if any(c < 32 and c not in (9, 10) for c in text): problems.append('raw control character on stdout')
            if code and command[0] != 'verify': problems.append(said(err))
            if memory > 65536 or took > 20: problems.append(f'{memory >> 10} MiB, {took:.1f} s')
            if problems:
                bad += 1
                print(f'FAIL {command} of a store full of hostile archives, exit {code}: {"; ".join(problems)}', flush=True)
        for name in os.listdir(f'{world}/backups'):
            if name not in (os.path.basename(good), '.heirloom', 'heirloom-store.json'): os.unlink(f'{world}/backups/{name}')
    print(f'# hostile archives: {cases} cases, {refused} refused, at most {peak / 1024:.0f} MiB and {slowest:.1f} s, findings {bad}', flush=True)

    rnd = random.Random(a.seed)
    code, _, err = run([a.bin, 'backup', 'data.db', '--compression', 'zstd', '--name', 'second.tar.zst'], world, env)
    if code: raise SystemExit(said(err))
    both = [open(good, 'rb').read(), open(f'{world}/backups/second.tar.zst', 'rb').read()]
    missed = 0
    for n in range(a.flips):
        data = both[n // 2 % 2]
        b = bytearray(data)
        at = rnd.randrange(len(b)); b[at] ^= rnd.randrange(1, 256)
        path = f'{work}/changed.tar.gz'
        with open(path, 'wb') as f: f.write(b)
        code, out, err = run([a.bin, 'verify', '--depth', 'quick' if n % 2 else 'standard', path], world, env)
        if code != 13 or judge_exit(code, err):
            missed += 1
            print(f'FAIL byte {at} of {len(b)} changed from {data[at]:#x} to {b[at]:#x}: verify exits {code}', flush=True)
    print(f'# changed bytes: {a.flips}, missed {missed}, seed {a.seed}')
    return 1 if bad or missed else 0


if __name__ == '__main__': sys.exit(main())
