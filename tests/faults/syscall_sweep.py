#!/usr/bin/env python3
"""Fails or kills a command at its n-th file system call (strace), for every n, and checks the state after each.

  syscall_sweep.py --bin BIN --scenario backup,verify [--cases 1500] [--seed 1] [--pairs] [--only fsync:EIO,linkat:KILL]

The command runs once without a fault to count its file system calls (per thread), then once per (call, number,
fault): with a single fault, and with the fault from there on forever (a `+` in the name of the case).
Faults: an errno (the call is not carried out), KILL (SIGKILL instead of the call). A call can be limited to one
file of the world: `--only pread64@app.db:EIO`. --cases selects that many, spread evenly over calls
and faults and chosen by --seed; 0 means all. --pairs puts a second fault into the next run.
Needs strace 5.3 or newer and permission to trace.
"""
import argparse, collections, concurrent.futures as cf, os, random, re, shutil, sys, tempfile

from invariants import *
from scenarios import RUNNABLE, make

SPACE = 'openat mkdir mkdirat linkat link rename renameat renameat2 write pwrite64 writev fallocate ftruncate symlink fsync'.split()
MUTATING = SPACE + 'unlink unlinkat rmdir fdatasync sync_file_range chmod fchmod fchmodat chown fchown fsetxattr fremovexattr utimensat flock fcntl copy_file_range'.split()
# Without poll: the Rust runtime calls it once before main, and aborts if it fails.
READING = 'read pread64 statx newfstatat getdents64 lseek readlink faccessat2 access mmap'.split()
# The same process ids in each run, and thus the same names of scratch folders. Requires root.
OWN_PIDS = ['unshare', '--pid', '--fork', '--mount-proc', '--propagation', 'slave'] if os.geteuid() == 0 and shutil.which('unshare') else []
INTERRUPTIBLE = 'openat read write pread64 pwrite64 writev fsync fdatasync flock ftruncate fallocate'.split()


def faults(call):
    """The faults of a call as (name, lasting)."""
    yield 'EIO', False
    call, _, path = call.partition('@')
    # A disk that keeps failing for one file.
    if path and call in READING: yield 'EIO', True
    if call in SPACE: yield 'ENOSPC', False
    if call in INTERRUPTIBLE: yield 'EINTR', False
    if call in MUTATING:
        yield 'KILL', False
        yield 'EIO', True
        if call in SPACE: yield 'ENOSPC', True
    if call in ('openat', 'linkat', 'unlink', 'mkdir', 'fchown', 'chmod', 'fsetxattr'): yield 'EACCES', False
    if call in ('openat', 'mmap'): yield 'ENOMEM' if call == 'mmap' else 'EMFILE', False


def is_disk(scenario, path):
    """Returns whether a file may be on a separate failing disk: a database, an archive, a private copy of a database."""
    return scenario.is_of_database(path) or path.endswith(('.tar.gz', '.tar.zst')) or re.search(r'\.heirloom(-|/)run-.*\.db$', path)


def calls(scenario, template, work):
    """The maximum number of times that one thread makes each call."""
    world = tempfile.mkdtemp(dir=work); d = f'{world}/w'
    scenario.copy(template, d)
    log = f'{world}/log'
    code, _, err = scenario.go(d, [*OWN_PIDS, 'strace', '-f', '-y', '-qq', *scenario.tracing, '-o', log, '-e', 'trace=' + ','.join('?' + c for c in MUTATING + READING)])
    if code not in scenario.codes: raise SystemExit(f'{scenario.name}: exit {code} under strace: {said(err)}')
    per = collections.Counter()
    for line in open(log, errors='replace'):
        m = re.match(r'(\d+) +(\w+)\((?:\d+<([^>]*)>)?', line)
        if not m: continue
        per[m.group(2), m.group(1)] += 1
        # Threads count separately, so the first syncs of two threads would always fail together; hence also by file. A
        # database or an archive may be on a separate, failing disk.
        path = os.path.relpath(m.group(3), d) if (m.group(3) or '').startswith(d) else ''
        if OWN_PIDS and path and (m.group(2) in ('fsync', 'fdatasync') or m.group(2) in ('read', 'pread64') and is_disk(scenario, path)):
            per[f'{m.group(2)}@{path}', ''] += 1
    shutil.rmtree(world)
    most = {}
    for (call, _), n in per.items(): most[call] = max(n, most.get(call, 0))
    return most


def inject(scenario, call, n, fault, lasting, log, world):
    what = 'signal=SIGKILL' if fault == 'KILL' else 'error=' + fault
    call, _, path = call.partition('@')
    only = ['-P', os.path.normpath(f'{world}/{path}')] if path else []
    # With its filter, strace never delivers the signal.
    tracing = [word for word in scenario.tracing if fault != 'KILL' or word != '--seccomp-bpf']
    return [*(OWN_PIDS if path else []), 'strace', '-f', '-y', '-qq', *tracing, *only, '-o', log, '-e', f'trace={call}',
            '-e', f'inject={call}:{what}:when={n}' + ('+' if lasting else '')]


def death(code, call):
    """SIGKILL, or an abort of the runtime because an allocation failed, which counts as a crash."""
    return 137 if code in (-9, 137) or call == 'mmap' and code in (-6, -11, 134, 139) else code


def one(a, scenario, template, case, second):
    call, n, fault, lasting = case
    world = tempfile.mkdtemp(dir=a.work); d = f'{world}/w'
    scenario.copy(template, d)
    log = f'{world}/log'
    name = f'{scenario.name}: {call}#{n}{"+" if lasting else ""}:{fault}'
    code, out, err = scenario.go(d, inject(scenario, *case, log, d))
    code = death(code, call)
    if not os.path.exists(log): raise SystemExit(f'{name}: strace did not start: {said(err)}')
    text = open(log, errors='replace').read()
    fired = 'INJECTED' in text or code == 137
    bad = scenario.judge(d, code, err, text)
    if second and not bad:
        name += ' then {}#{}{}:{}'.format(second[0], second[1], '+' if second[3] else '', second[2])
        code, out, err = scenario.go(d, inject(scenario, *second, log + '2', d), now=LATER)
        code = death(code, second[0])
        bad = [b for b in scenario.judge(d, code, err, open(log + '2', errors='replace').read()) if not b.startswith('exit 0 and')]
    bad += scenario.settle(d)
    if not (bad and a.keep_bad): shutil.rmtree(world, ignore_errors=True)
    return name, code, fired, bad, (world if bad and a.keep_bad else '')


def spread(cases, limit, rnd):
    """Selects `limit` cases, evenly over all kinds of call and fault."""
    if not limit or limit >= len(cases): return cases
    groups = collections.defaultdict(list)
    for c in cases: groups[c[0], c[2], c[3]].append(c)
    for g in groups.values(): rnd.shuffle(g)
    taken = []
    while len(taken) < limit:
        for key in sorted(groups):
            if groups[key] and len(taken) < limit: taken.append(groups[key].pop())
    return taken


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--bin', required=True)
    p.add_argument('--scenario', default=','.join(RUNNABLE))
    p.add_argument('--cases', type=int, default=0)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--only', default='')
    p.add_argument('--pairs', action='store_true')
    p.add_argument('--jobs', type=int, default=os.cpu_count())
    p.add_argument('--keep-bad', action='store_true')
    a = p.parse_args()
    a.bin = os.path.abspath(a.bin)
    rnd = random.Random(a.seed)
    a.work = tempfile.mkdtemp(prefix='sweep-', dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
    only = {tuple(item.split(':')) for item in a.only.split(',') if item}
    names = a.scenario.split(',')
    total = fired = failed = through = 0
    meant, met = collections.Counter(), collections.Counter()
    try:
        plans = []
        for name in names:
            scenario = make(name, a.seed)
            template = f'{a.work}/{name}'
            os.makedirs(template)
            scenario.prepare(a.bin, template)
            counts = calls(scenario, template, a.work)
            cases = [(call, n, fault, lasting) for call, most in sorted(counts.items()) for fault, lasting in faults(call)
                     for n in range(1, most + 1) if not only or (call, fault) in only or (call.partition('@')[0], fault) in only]
            plans.append((scenario, template, cases))
        share = [a.cases * len(c) // max(1, sum(len(c) for _, _, c in plans)) if a.cases else 0 for _, _, c in plans]
        # A scenario with few calls still gets a fair share of the cases.
        if a.cases: share = [max(s, min(len(plans[i][2]), a.cases // (2 * len(plans)))) for i, s in enumerate(share)]
        for (scenario, template, cases), limit in zip(plans, share):
            chosen = spread(cases, limit, rnd)
            seconds = [rnd.choice(cases) if a.pairs else None for _ in chosen]
            hit = bad_here = 0
            with cf.ThreadPoolExecutor(a.jobs) as pool:
                meant.update(c[2] for c in chosen)
                for name, code, did, bad, kept in pool.map(lambda c: one(a, scenario, template, *c), zip(chosen, seconds)):
                    met[re.search(r':(\w+)( then|$)', name)[1]] += did
                    hit += did; through += did and code == 0
                    if bad:
                        bad_here += 1
                        print(f'FAIL {name} exit {code}: {"; ".join(bad)} {kept}', flush=True)
            print(f'# {scenario.name}: {len(chosen)} of {len(cases)} cases, {hit} hit, {bad_here} findings', flush=True)
            total += len(chosen); fired += hit; failed += bad_here
        # A fault that never occurs tests nothing.
        for fault, n in meant.items():
            if met[fault] < n / 2:
                failed += 1
                print(f'FAIL {fault}: {met[fault]} of {n} came to pass', flush=True)
        print(f'# sweep{" (pairs)" if a.pairs else ""}: cases {total}, hit {fired}, exit 0 all the same {through}, findings {failed}, seed {a.seed}')
    finally:
        if not a.keep_bad: shutil.rmtree(a.work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == '__main__': sys.exit(main())
