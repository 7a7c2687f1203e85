#!/usr/bin/env python3
"""Exhausted resources, denied permissions, and signals: runs each command under each, with the checks of any fault.

  limits.py --bin BIN [--only signals,full,...] [--sizes 25] [--ext4] [--seed 1]

signals: SIGTERM, SIGINT, SIGHUP at random moments: exit code 128+N or success, no leftovers. full: a file system of each of
--sizes sizes, no inodes (tmpfs; with --ext4 also small ext4 images). limits: descriptors, memory, file size.
folders: read-only, append-only, another user. umask: 000 and 777. output: standard output closed or full.
"""
import argparse, os, random, resource, shutil, signal, subprocess, sys, tempfile, time

from invariants import *
from scenarios import make

TARGETS = os.environ.get('HEIRLOOM_LIMITS_SCENARIOS', 'backup,backup-wal,backup-two,verify,rotate,delete,restore,restore-wal,restore-missing').split(',')


class Limits:
    def __init__(self, a):
        self.a, self.rnd, self.bad, self.cases, self.refused = a, random.Random(a.seed), 0, 0, 0
        self.work = tempfile.mkdtemp(prefix='limits-', dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
        os.chmod(self.work, 0o755)
        # Other users run it too, and the build folder may be readable only by root. Not below self.work, which may be
        # mounted noexec.
        self.programs = tempfile.mkdtemp(prefix='limits-bin-')
        os.chmod(self.programs, 0o755)
        self.a.bin = shutil.copy(self.a.bin, self.programs)
        self.scenarios = {}

    def scenario(self, name):
        if name not in self.scenarios:
            s = self.scenarios[name] = make(name, self.a.seed)
            s.template = f'{self.work}/{name}'
            os.makedirs(s.template)
            s.prepare(self.a.bin, s.template)
        return self.scenarios[name]

    def world(self, s, where=None):
        d = where or f'{self.work}/w'
        if os.path.isdir(d) and not where: shutil.rmtree(d)
        shutil.copytree(s.template, d, symlinks=True, dirs_exist_ok=True)
        return d

    def report(self, what, code, problems):
        self.cases += 1
        self.refused += code != 0
        if problems:
            self.bad += 1
            print(f'FAIL {what}: exit {code}: {"; ".join(problems)}', flush=True)

    def signals(self):
        for name in TARGETS:
            s = self.scenario(name)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                for _ in range(self.a.signals):
                    d = self.world(s)
                    p = subprocess.Popen(s.args(), cwd=d, env=s.env(d), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    time.sleep(.004 + self.rnd.random() * .03)
                    p.send_signal(number)
                    out, err = p.communicate(timeout=60)
                    # Before main has installed its handlers, the signal kills the process.
                    early = p.returncode == -number and not scratch(d)
                    problems = [] if p.returncode in (*s.codes, 128 + number) or early else [f'signal {number}']
                    problems += s.judge(d, 137 if early else p.returncode, err)
                    problems += [f'scratch stays: {x}' for x in scratch(d)]
                    self.report(f'{name}, signal {number}', p.returncode, problems + s.settle(d))

    def full(self):
        for name in TARGETS:
            s = self.scenario(name)
            used = int(subprocess.check_output(['du', '-sk', '--apparent-size', s.template]).split()[0])
            for n in range(self.a.sizes):
                kib = used + 40 + n * 1200 // self.a.sizes
                self.on_file_system(s, f'{name}, {kib} KiB', ['-t', 'tmpfs', '-o', f'size={kib}k', 'tmpfs'])
            if self.a.ext4:
                for n in range(self.a.sizes):
                    kib = used + 250 + n * 2000 // self.a.sizes
                    image = f'{self.work}/image'
                    subprocess.run(['truncate', '-s', f'{kib}K', image], check=True)
                    if subprocess.run(['mkfs.ext4', '-q', '-F', '-m', '0', '-O', '^has_journal', image], capture_output=True).returncode: continue
                    self.on_file_system(s, f'{name}, ext4 of {kib} KiB', ['-o', 'loop', image])
                    os.unlink(image)
            files = sum(len(f) + len(d) for _, d, f in os.walk(s.template)) + 2
            for n in range(8): self.on_file_system(s, f'{name}, {files + n} inodes', ['-t', 'tmpfs', '-o', f'size=20m,nr_inodes={files + n}', 'tmpfs'])

    def on_file_system(self, s, what, options):
        mount = f'{self.work}/mount'
        os.makedirs(mount, exist_ok=True)
        subprocess.run(['mount', *options, mount], check=True)
        try:
            try: self.world(s, mount)
            except (OSError, shutil.Error): return              # too small for what is there already
            code, out, err = s.go(mount)
            problems = s.judge(mount, code, err)
            if code not in (*s.codes, 15, 3): problems.append(f'not 15: {said(err)}')
            problems += [f'scratch stays: {x}' for x in scratch(mount)]
            # Free space again, by moving to a larger file system: the next run works.
            d = f'{self.work}/w'
            shutil.rmtree(d, ignore_errors=True)
            shutil.copytree(mount, d, symlinks=True, ignore=shutil.ignore_patterns('lost+found'))
            self.report(what, code, problems + s.settle(d))
        finally: subprocess.run(['umount', mount], check=True)

    def limits(self):
        for name in TARGETS:
            s = self.scenario(name)
            cases = [('nofile', resource.RLIMIT_NOFILE, n) for n in range(3, 24)]
            cases += [('file size', resource.RLIMIT_FSIZE, n) for n in (0, 1, 100, 4096, 20000, 60000, 100000, 130000, 200000)]
            cases += [('memory', resource.RLIMIT_AS, n << 20) for n in (12, 20, 30, 40, 50, 60, 80, 120, 200, 400)]
            cases += [('processes', resource.RLIMIT_NPROC, 1)]
            for what, limit, value in cases:
                d = self.world(s)
                code, out, err = s.go(d, preexec_fn=lambda: resource.setrlimit(limit, (value, value)))
                # Without memory, the loader or the allocator kills the process, which counts as a crash. So does
                # failing to open the libraries. A panic (101) counts as a crash only at the smallest limit, where the
                # compressor's own allocation fails; anywhere else it is a finding.
                ended = what == 'memory' and code in (-6, -11, 127, 134) or code == 127 and b'shared librar' in err
                ended = ended or what == 'memory' and code == 101 and value == 12 << 20
                problems = s.judge(d, 137 if ended else code, err)
                self.report(f'{name}, {what} {value}', code, problems + s.settle(d))

    def folders(self):
        for name in TARGETS:
            s = self.scenario(name)
            # A read-only store: reading and verifying work, everything else reports an error.
            d = self.world(s)
            subprocess.run(['mount', '--bind', f'{d}/backups', f'{d}/backups'], check=True)
            subprocess.run(['mount', '-o', 'remount,bind,ro', f'{d}/backups'], check=True)
            try:
                code, out, err = s.go(d)
                problems = s.judge(d, code, err)
                reads = name in ('verify', 'restore-missing')
                if (code == 0) != reads: problems.append(f'read-only store: {said(err)}')
                for look in (['list'], ['show', 'latest'], ['verify']):
                    looked, _, why = run([self.a.bin, *look], d, s.env(d))
                    if looked: problems.append(f'{look} on a read-only store: {said(why)}')
            finally: subprocess.run(['umount', f'{d}/backups'], check=True)
            self.report(f'{name}, read-only store', code, problems + s.settle(d))
            # The whole world read-only, except for temporary files.
            d = self.world(s)
            subprocess.run(['mount', '--bind', d, d], check=True)
            subprocess.run(['mount', '-o', 'remount,bind,ro', d], check=True)
            try:
                code, out, err = run(s.args(), d, environment(TMPDIR='/tmp'))
                problems = s.judge(d, code, err)
            finally: subprocess.run(['umount', d], check=True)
            self.report(f'{name}, all read-only', code, problems + s.settle(d))
            # Append-only: existing files stay.
            d = self.world(s, tempfile.mkdtemp(prefix='append-', dir='/var/tmp'))
            if subprocess.run(['chattr', '+a', f'{d}/backups'], capture_output=True).returncode == 0:
                code, out, err = s.go(d)
                subprocess.run(['chattr', '-a', f'{d}/backups'], check=True)
                problems = s.judge(d, code, err)
                if name == 'backup' and code: problems.append(f'append-only store: {said(err)}')
                self.report(f'{name}, append-only store', code, problems + s.settle(d))
            shutil.rmtree(d)
            # Another user, who may not read the store (0700), or may only read the source.
            d = self.world(s)
            code, out, err = s.go(d, ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'])
            problems = s.judge(d, code, err)
            if code == 0: problems.append('another user came into a folder of mode 0700')
            self.report(f'{name}, another user', code, problems + s.settle(d))
        # Another user with a separate store leaves nothing beside the database that would lock its owner out.
        for name in ('backup', 'backup-idle-wal', 'backup-wal', 'backup-hot'):
            s = self.scenario(name)
            d = self.world(s)
            os.makedirs(f'{d}/theirs'); os.chown(f'{d}/theirs', 65534, 65534); os.chmod(d, 0o777)
            beside = lambda: sorted(n for n in os.listdir(d) if n.startswith('app.db'))
            had = beside()
            code, out, err = run([self.a.bin, '--dir', 'theirs', 'backup', 'app.db'], d, environment(TMPDIR='/tmp'), user=65534, group=65534, extra_groups=[])
            os.chmod(d, 0o755)
            problems = judge_exit(code, err) + s.judge_source(d)
            if code: problems.append(said(err))
            if beside() != had: problems.append(f'left beside the database: {set(beside()) ^ set(had)}')
            problems += judge_store(f'{d}/theirs', {}, (), {n: {v} for n, v in s.old.items()})[0]
            self.report(f'{name}, to a store of another user', code, problems)

    def umask(self):
        for name in (*TARGETS, 'backup-first', 'pin'):
            s = self.scenario(name)
            for mask in (0o000, 0o777, 0o022):
                for user in (None, 65534):
                    d = self.world(s)
                    if user:
                        subprocess.run(['chown', '-R', '65534:65534', d], check=True)
                    more = {'user': user, 'group': user, 'extra_groups': []} if user else {}
                    code, out, err = s.go(d, umask=mask, **more)
                    problems = s.judge(d, code, err) + judge_modes(d)
                    if code not in s.codes: problems.append(said(err))
                    subprocess.run(['chown', '-R', '0:0', d], check=True)
                    self.report(f'{name}, umask {mask:03o}, user {user or 0}', code, problems + s.settle(d))

    def output(self):
        for name in TARGETS:
            s = self.scenario(name)
            for how in ('full', 'closed', 'pipe'):
                d = self.world(s)
                args = ' '.join(s.args()) + ' -v'
                shell = {'full': f'{args} >/dev/full', 'closed': f'{args} >&- 2>&-', 'pipe': f'({args}; echo $? >code) | true'}[how]
                code, out, err = run(['sh', '-c', shell], d, s.env(d))
                if how == 'pipe': code = int(open(f'{d}/code').read())
                problems = s.judge(d, code, err or b'(closed)')
                if code not in (*s.codes, 3): problems.append('what was done depends on who listens')
                self.report(f'{name}, output {how}', code, problems + s.settle(d))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--bin', required=True)
    p.add_argument('--only', default='signals,full,limits,folders,umask,output')
    p.add_argument('--sizes', type=int, default=10)
    p.add_argument('--signals', type=int, default=3)
    p.add_argument('--ext4', action='store_true')
    p.add_argument('--seed', type=int, default=1)
    a = p.parse_args(); a.bin = os.path.abspath(a.bin)
    limits = Limits(a)
    try:
        for name in a.only.split(','):
            cases, bad, refused = limits.cases, limits.bad, limits.refused
            getattr(limits, name)()
            print(f'# {name}: {limits.cases - cases} cases, {limits.refused - refused} not exit 0, {limits.bad - bad} findings', flush=True)
        print(f'# limits: cases {limits.cases}, findings {limits.bad}, seed {a.seed}')
    finally:
        for folder in (limits.work, limits.programs): shutil.rmtree(folder, ignore_errors=True)
    return 1 if limits.bad else 0


if __name__ == '__main__': sys.exit(main())
