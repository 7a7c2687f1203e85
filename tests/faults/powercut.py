#!/usr/bin/env python3
"""Simulates power cuts at any moment, on a real ext4 or xfs, without a device mapper.

  powercut.py --bin BIN [--scenario backup,rotate] [--cuts 300] [--fs ext4] [--seed 1] [--steps 4]

An image is served by nbdkit (blocklog_plugin.py logs every write and flush), nbdfuse, a loop device and a mounted
file system. The command runs in it several times; when it exits with 0, that position of the log is recorded as acknowledged.
For each sampled position of the log, a disk is built from everything that was flushed by then and a random part of
the later writes (one write may be torn at --sector). It is mounted and checked: nothing is lost, and nothing that was
acknowledged is undone (archives, restored databases, marks, removals); and if only one of two databases is new, the
next command reports it. Needs root, /dev/fuse, loop devices, nbdkit with its Python plugin, nbdfuse.
"""
import argparse, os, random, shutil, struct, subprocess, sys, tempfile, time

from invariants import *
from scenarios import advance, make

HERE = os.path.dirname(os.path.abspath(__file__))


def must(*args, **more):
    r = subprocess.run(args, capture_output=True, text=True, **more)
    if r.returncode: raise RuntimeError(f'{args}: {r.stdout}{r.stderr}')
    return r.stdout.strip()


class Stack:
    """image, nbdkit, nbdfuse, loop device, mount; ends every process that it started."""

    def __init__(self, folder, image, log, options=''):
        self.folder, self.image, self.log, self.options = folder, image, log, options

    def __enter__(self):
        d = self.folder
        self.socket, self.fuse, self.mount = f'{d}/socket', f'{d}/fuse', f'{d}/mount'
        os.makedirs(self.fuse, exist_ok=True); os.makedirs(self.mount, exist_ok=True)
        self.kit = subprocess.Popen(['nbdkit', '-f', '-U', self.socket, 'python', f'{HERE}/blocklog_plugin.py',
                                     f'image={self.image}', f'log={self.log}', f'fault={d}/fault'], stderr=subprocess.DEVNULL)
        self.wait(self.socket)
        self.nbd = subprocess.Popen(['nbdfuse', self.fuse, f'nbd+unix:///?socket={self.socket}'])
        self.wait(f'{self.fuse}/nbd')
        self.loop = must('losetup', '-f', '--show', f'{self.fuse}/nbd')
        must('mount', *(['-o', self.options] if self.options else []), self.loop, self.mount)
        return self

    def wait(self, path):
        for _ in range(500):
            if os.path.exists(path): return
            time.sleep(.02)
        raise RuntimeError(f'{path} does not appear')

    def __exit__(self, *_):
        # Mount namespaces of other harnesses have copies of these mounts while their commands run.
        for args in (['umount', self.mount], ['losetup', '-d', self.loop], ['fusermount3', '-u', self.fuse]):
            for _ in range(600):
                if b'busy' not in subprocess.run(args, capture_output=True).stderr: break
                time.sleep(0.1)
        self.nbd.wait(timeout=60); self.kit.terminate(); self.kit.wait()
        if os.path.exists(self.socket): os.unlink(self.socket)


def records(log):
    out, i = [], 0
    b = open(log, 'rb').read()
    while i < len(b):
        kind = b[i:i + 1]; offset, n = struct.unpack('<QI', b[i + 1:i + 13]); i += 13
        out.append((kind, offset, b[i:i + n], i + n)); i += n
    return out


def one(a, name, rnd, cuts, work):
    """Runs one scenario; returns (cuts, findings)."""
    s = make(name, a.seed)
    template = f'{work}/template'
    os.makedirs(template)
    s.prepare(a.bin, template)
    image, log = f'{work}/image', f'{work}/log'
    must('truncate', '-s', a.size or ('320M' if a.fs == 'xfs' else '32M'), image)
    must('mkfs.' + a.fs, '-q', *(['-F', '-m', '0'] if a.fs == 'ext4' else []), image)
    with Stack(work, image, log) as stack: s.copy(template, f'{stack.mount}/w')
    base = f'{work}/base'
    shutil.copyfile(image, base)
    open(log, 'w').close()
    # The required state from an offset of the log on: (offset, the archives, the contents of the databases).
    states = {n: {s.old[n], *s.between.get(n, ())} for n in s.databases}
    acked = [(0, dict(s.before), dict(s.old), marks(f'{template}/backups'))]
    with Stack(work, image, log) as stack:
        world = f'{stack.mount}/w'
        for step in range(a.steps if s.repeats else 1):
            if step and s.grows:
                advance(f'{world}/app.db', 500 + step)
                must('sync', '-f', world)
                states['app'].add(contents_of_live(f'{world}/app.db'))
                acked.append((os.path.getsize(log), acked[-1][1], s.contents(world), acked[-1][3]))
            code, out, err = s.go(world, now=f'2026-03-{1 + step:02}T03:00:00Z')
            if code not in (s.codes if not step else {*s.codes, *s.again_codes}): raise SystemExit(f'{name}: exit {code}: {said(err)}')
            # Read before the check: what the check itself reads from the disk does not count.
            offset = os.path.getsize(log)
            databases = s.contents(world)
            for n, d in databases.items(): states[n].add(d)
            acked.append((offset, archives(f'{world}/backups'), databases, marks(f'{world}/backups')))
    log_records = records(log)
    flushes = [i for i, r in enumerate(log_records) if r[0] == b'F']
    bad = 0
    points = sorted(rnd.randrange(1, len(log_records) + 1) for _ in range(cuts))
    # At the same path as before: the notes of a restore contain it.
    cut, mount = f'{work}/cut', f'{work}/mount'
    os.makedirs(mount, exist_ok=True)
    for point in points:
        flushed = max((i for i in flushes if i < point), default=-1)
        # A new file each time: one that is still mounted would still be written to.
        if os.path.exists(cut): os.unlink(cut)
        shutil.copyfile(base, cut)
        with open(cut, 'r+b') as f:
            for kind, offset, data, _ in log_records[:flushed + 1]:
                if kind == b'W': f.seek(offset); f.write(data)
            loose = [r for r in log_records[flushed + 1:point] if r[0] == b'W']
            mode = rnd.choice(('none', 'all', 'half', 'half', 'torn'))
            for kind, offset, data, _ in loose:
                if mode == 'none' or mode in ('half', 'torn') and rnd.random() < .5: continue
                if mode == 'torn' and len(data) > a.sector: data = data[:a.sector * rnd.randrange(1, len(data) // a.sector + 1)]
                f.seek(offset); f.write(data)
        end = log_records[point - 1][3]
        r = subprocess.run(['mount', '-o', 'loop', cut, mount], capture_output=True, text=True)
        if r.returncode: problems = [f'does not mount: {r.stderr.strip()}']
        else:
            try: problems = judge_cut(s, f'{mount}/w', [x for x in acked if x[0] <= end], states)
            finally: must('umount', mount)
        if problems:
            bad += 1
            if bad <= 10: print(f'FAIL {name} cut {point} of {len(log_records)}, {mode} of {len(loose)} loose writes: {"; ".join(problems)}', flush=True)
    print(f'# {name} on {a.fs}: {sum(r[0] == b"W" for r in log_records)} writes, {len(flushes)} flushes, {len(points)} cuts, {bad} findings', flush=True)
    return len(points), bad


def marks(store):
    """The marks of archives: pins, and marks of damage."""
    return {n for n in os.listdir(store) if n.endswith(('.keep', '.damaged'))} if os.path.isdir(store) else set()


def judge_cut(s, world, acknowledged, states):
    """`acknowledged` is what was acknowledged before the cut."""
    _, there, databases, marked = acknowledged[-1]
    bad = [f'the acknowledged mark {n} IS GONE' for n in marked - marks(f'{world}/backups') if n.rpartition('.')[0] in archives(f'{world}/backups')]
    removed = {n for _, earlier, _, _ in acknowledged for n in earlier} - set(there)
    bad += [f'{n} was acknowledged as removed and is BACK' for n in removed & set(archives(f'{world}/backups'))]
    # Acknowledged archives are there, unless a later run, whose end was not seen yet, was allowed to remove them.
    missing = [n for n in there if n not in archives(f'{world}/backups') and n not in s.may_go]
    bad += [f'LOST {n}' for n in missing]
    found, _ = judge_store(f'{world}/backups', {n: d for n, d in there.items() if n not in missing}, s.may_go, states, s.broken)
    bad += found
    for n, path in s.databases.items():
        try: now = s.look(world, path)
        except ValueError as error:
            bad.append(f'{path} IS DAMAGED: {error}'); continue
        if now == databases[n]: continue
        if now not in states[n]: bad.append(f'{path} holds a state that never was')
        elif s.keeps_source and not s.grows: bad.append(f'{path} CHANGED')
        elif not s.keeps_source and now == s.old[n] and databases[n] == s.new[n]: bad.append(f'an acknowledged restore of {path} WAS UNDONE')
    bad += s.evidence(world)
    if not bad: bad = s.judge_mixture(world)
    if bad: return bad
    code, out, err = s.go_again(world, '2026-03-20T00:00:00Z')
    if code not in s.again_codes: bad.append(f'the next run exits {code}: {said(err)}')
    bad += verifies(s.binary, world, '2026-03-20T01:00:00Z', s.broken)
    return bad + [f'scratch stays: {x}' for x in scratch(world)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--bin', required=True)
    p.add_argument('--scenario', default='backup,backup-wal,rotate,delete,pin,verify-damaged,restore,restore-wal,restore-two,restore-two-half,restore-offline,undo,guard-fails')
    p.add_argument('--cuts', type=int, default=300, help='of each scenario')
    p.add_argument('--steps', type=int, default=3)
    p.add_argument('--fs', default='ext4')
    p.add_argument('--size', default='')
    p.add_argument('--sector', type=int, default=4096)
    p.add_argument('--seed', type=int, default=1)
    a = p.parse_args(); a.bin = os.path.abspath(a.bin)
    rnd = random.Random(a.seed)
    cuts = failed = 0
    for name in a.scenario.split(','):
        work = tempfile.mkdtemp(prefix='cut-', dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
        # Shared, so that an unmount here also applies in the namespaces that other tests create at the same time.
        must('mount', '--bind', work, work); must('mount', '--make-shared', work)
        try:
            n, bad = one(a, name, rnd, a.cuts, work)
            cuts += n; failed += bad
        finally:
            subprocess.run(['umount', work])
            shutil.rmtree(work, ignore_errors=True)
    print(f'# power cuts on {a.fs}: {cuts}, findings {failed}, seed {a.seed}')
    return 1 if failed else 0


if __name__ == '__main__': sys.exit(main())
