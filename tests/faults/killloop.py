#!/usr/bin/env python3
"""Sends SIGKILL at random moments, repeatedly, in one long-lived world that is never cleaned up.

  killloop.py --bin BIN [--scenario backup,rotate] [--kills 200] [--seed 1]

Measures how long the command takes, then kills runs after a random part of that time. After each kill the
world is checked as it is; every few kills a run is left to finish, and then there must be no scratch.
The database keeps changing between the runs: an archive may contain any of its states, and nothing else.
"""
import argparse, os, random, shutil, subprocess, sys, tempfile, time

from invariants import *
from scenarios import RUNNABLE, advance, make

DEFAULT = ('backup,backup-wal,backup-two,backup-first,backup-new-store,backup-lost-id,verify,rotate,cleanup,delete,accept,send-pending,restore,restore-wal,'
           'restore-missing,restore-two,restore-rights,restore-recorded,restore-in-place,restore-in-place-offline,restore-in-place-two')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--bin', required=True)
    p.add_argument('--scenario', default=','.join(n for n in DEFAULT.split(',') if n in RUNNABLE))
    p.add_argument('--kills', type=int, default=200)
    p.add_argument('--seed', type=int, default=1)
    a = p.parse_args(); a.bin = os.path.abspath(a.bin)
    rnd = random.Random(a.seed)
    names = a.scenario.split(',')
    killed = failed = runs = 0
    for name in names:
        work = tempfile.mkdtemp(prefix='kill-', dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
        try:
            hit, bad, ran = loop(a, name, work, rnd, max(1, a.kills // len(names)))
            killed += hit; failed += bad; runs += ran
        finally: shutil.rmtree(work, ignore_errors=True)
    print(f'# kill -9: runs {runs}, killed {killed}, findings {failed}, seed {a.seed}')
    return 1 if failed else 0


def loop(a, name, work, rnd, kills):
    scenario = make(name, a.seed)
    template = f'{work}/template'
    os.makedirs(template)
    scenario.prepare(a.bin, template)
    world = f'{work}/w'
    scenario.copy(template, world)
    took = []
    for _ in range(3):
        scenario.copy(template, world + '2')
        began = time.time(); scenario.go(world + '2'); took.append(time.time() - began)
        shutil.rmtree(world + '2')
    took = sorted(took)[1]
    states = scenario.states()
    hit = bad = ran = 0
    while hit < kills:
        # Several kills in a row without cleanup, then one run that is left to finish.
        for _ in range(rnd.randrange(1, 11)):
            ran += 1
            before = archives(f'{world}/backups')
            process = subprocess.Popen([*scenario.inside, *scenario.args()], cwd=world, env=scenario.env(world, clock(ran)), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
            time.sleep(rnd.random() * took * 1.1)
            if process.poll() is None: process.kill()
            code = process.wait()
            hit += code == -9
            problems = [] if code in (-9, *scenario.codes, *scenario.again_codes, *scenario.in_a_row) else [f'exit {code}']
            problems += judge_store(f'{world}/backups', before, scenario.may_go, states, scenario.broken)[0]
            problems += scenario.judge_source(world, states)
            if scenario.grows:
                advance(f'{world}/app.db', 1000 + ran)
                states['app'].add(contents_of_live(f'{world}/app.db'))
                scenario.old['app'] = contents_of_live(f'{world}/app.db')
                scenario.files = {}
            bad += report(name, ran, code, problems, bad)
        scenario.before = archives(f'{world}/backups')
        scenario.now = clock(ran + 1)
        bad += report(name, ran, 'settled', scenario.settle(world, states), bad)
        if not scenario.grows:
            shutil.rmtree(world); scenario.copy(template, world)
        elif len(scenario.before) > 30:
            for old in sorted(scenario.before)[:-5]: os.unlink(f'{world}/backups/{old}')
    print(f'# {name}: {ran} runs of {took * 1000:.0f} ms, {hit} killed, {bad} findings', flush=True)
    return hit, bad, ran


def clock(minute):
    """A different time for each run."""
    return f'2026-{3 + minute // 40320:02}-{1 + minute // 1440 % 28:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z'


def report(name, ran, code, problems, before):
    if problems and before < 20: print(f'FAIL {name} run {ran} exit {code}: {"; ".join(problems)}', flush=True)
    return bool(problems)


if __name__ == '__main__': sys.exit(main())
