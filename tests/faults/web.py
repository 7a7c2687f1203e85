#!/usr/bin/env python3
"""Faults of the admin server: what is acknowledged over HTTP is there, whoever dies or goes away.

  web.py --bin BIN [--only calls,servers,full,away,gone,two] [--cases 40] [--seed 1]

calls: the processes of a job are killed (SIGKILL, strace) at their n-th call that changes a file; --cases selects that many,
0 means all. servers: the server is killed, alone or with its job, at random moments of a job. full: no space is left. away:
the store is not there, before and in the middle of a job and of a download. gone: the client leaves in the middle of a
download, of a restore and of a request. two: administrators at the same time.
After each fault the state is checked from outside (invariants.py), and then a server is started anew and does the same job.
calls needs strace 5.3 or newer, full needs root.
"""
import argparse, collections, itertools, json, os, random, re, shutil, socket, sqlite3, subprocess, sys, tempfile, threading, time

from invariants import *
from scenario import advance
from syscall_sweep import MUTATING
from web_world import ACTS, DAY, PATIENCE, TOKENS, Server, Web


class Faults:
    def __init__(self, a):
        self.a, self.rnd, self.bad, self.cases, self.count = a, random.Random(a.seed), 0, 0, collections.Counter()
        self.work = tempfile.mkdtemp(prefix='web-', dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
        self.webs = {}

    def web(self, name):
        if name not in self.webs: self.webs[name] = Web(name, self.work, self.a.bin)
        return self.webs[name]

    def report(self, what, problems):
        self.cases += 1
        if problems:
            self.bad += 1
            print(f'FAIL {what}: {"; ".join(map(str, problems))}', flush=True)

    def judge(self, web, what, bad, acknowledged):
        """Checks the state after a fault, and that the next job works. `acknowledged`: it was reported as done."""
        bad = bad + web.judge(web.world, 0 if acknowledged else 137, b'')
        self.report(f'{web.name}, {what}', bad + web.next())

    def traced(self, server, log, *options):
        """Attaches strace to the server and all its children to come."""
        strace = subprocess.Popen(['strace', '-f', '-qq', '-s', '4096', '-o', log, *options, '-p', str(server.process.pid)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while any('TracerPid:\t0' in open(f'/proc/{server.process.pid}/task/{t}/status').read() for t in os.listdir(f'/proc/{server.process.pid}/task')):
            if strace.poll() is not None: raise SystemExit(f'strace does not start: {open(log).read()}')
            time.sleep(.005)
        return strace

    def untraced(self, strace):
        """Ends strace. It may wait for ever for a process of several threads that was killed."""
        strace.terminate()
        try: strace.wait(5)
        except subprocess.TimeoutExpired: strace.kill(); strace.wait()

    def calls(self):
        chosen, possible = [], 0
        for name in ACTS:
            web = self.web(name); web.fresh()
            server = Server(self.a.bin, web.world)
            log = f'{self.work}/log'
            strace = self.traced(server, log, '-e', 'trace=execve,' + ','.join('?' + c for c in MUTATING if c not in ('flock', 'fcntl')))
            server.act(web.act)
            server.kill()
            # With its tracees it ends by itself.
            try: strace.wait(5)
            except subprocess.TimeoutExpired: self.untraced(strace)
            # The threads of the processes that carry the act out: not the server, and not the plan.
            jobs, per = set(), collections.Counter()
            for line in open(log, errors='replace'):
                m = re.match(r'(\d+) +(\w+)\((.*)', line)
                if not m: continue
                if m[2] == 'execve': jobs.add(m[1]) if '--dry-run' not in m[3] else jobs.discard(m[1])
                elif m[1] in jobs: per[m[2], m[1]] += 1
            most = {}
            for (call, _), n in per.items(): most[call] = max(n, most.get(call, 0))
            if sum(most.values()) < 5: raise SystemExit(f'{name}: strace saw no calls: {most}')
            every = [(name, call, n) for call, n in sorted(most.items()) for n in range(1, n + 1)]
            # A sample has all kinds of calls, in an order that the seed decides.
            kinds = self.rnd.sample(sorted(most), len(most))
            few = [(name, call, self.rnd.randrange(1, most[call] + 1)) for call in itertools.islice(itertools.cycle(kinds), max(1, self.a.cases // len(ACTS)))]
            chosen += every if self.a.cases == 0 or len(few) >= len(every) else few
            possible += len(every)
        for done, (name, call, n) in enumerate(chosen):
            if done % 100 == 0: print(f'# {done} of {len(chosen)} calls', file=sys.stderr, flush=True)
            self.killed_at(self.web(name), call, n)
        print(f'# {len(chosen)} of {possible} calls', flush=True)
        if self.count['jobs killed'] < len(chosen) / 3: self.report('calls', [f'only {self.count["jobs killed"]} of {len(chosen)} jobs were killed'])

    def killed_at(self, web, call, n):
        web.fresh()
        server = Server(self.a.bin, web.world)
        strace = self.traced(server, f'{self.work}/log', '-e', f'trace={call}', '-e', f'inject={call}:signal=SIGKILL:when={n}')
        status, job = server.act(web.act)
        dead = server.process.poll() is not None or status == 0
        bad, done = [], status == 200 and job.get('state') == 'done'
        if dead: self.count['servers killed'] += 1
        else:
            if 'id' in job:
                self.count['plans killed' if job['dry_run'] else 'jobs killed'] += job['code'] == 137
                if not done and (job['state'] != 'failed' or job['code'] not in (137, 1)): bad.append(f'a killed job is {job}')
                if not done and not (job['error'] or {}).get('message'): bad.append(f'a killed job does not say why it failed: {job}')
            else: bad.append(f'a killed job is answered with {status} {job}')
        self.untraced(strace)
        if dead: server.kill()
        else:
            # The same server goes on.
            if server.ask('GET', '/status')[0] != 200: bad.append('the server does not go on')
            bad += server.stop()
        self.judge(web, f'{call}#{n}', bad, done)

    def servers(self):
        for name, whole in itertools.product(ACTS, (False, True)):
            web = self.web(name)
            for _ in range(max(1, self.a.cases // 20)):
                web.fresh()
                server = Server(self.a.bin, web.world)
                answers = []
                client = threading.Thread(target=lambda: answers.append(server.act(web.act)))
                client.start()
                time.sleep(self.rnd.random() * .35)
                children = open(f'/proc/{server.process.pid}/task/{server.process.pid}/children').read().split()
                for t in os.listdir(f'/proc/{server.process.pid}/task'):
                    try: children += open(f'/proc/{server.process.pid}/task/{t}/children').read().split()
                    except OSError: pass
                server.kill()
                self.count['servers killed'] += 1
                for child in set(children):
                    try:
                        # A job that the server leaves behind ends by itself.
                        if whole: os.kill(int(child), 9)
                        until = time.time() + PATIENCE
                        while os.path.exists(f'/proc/{child}') and open(f'/proc/{child}/stat').read().rsplit(')')[1].split()[0] != 'Z' and time.time() < until: time.sleep(.01)
                    except OSError: pass
                    self.count['jobs killed'] += whole
                client.join()
                status, job = answers[0]
                self.judge(web, f'the server killed {"with" if whole else "without"} its job', [], status == 200 and job.get('state') == 'done')

    def locked(self, web):
        """A writer, behind which jobs that change the database wait, and plans do not."""
        c = sqlite3.connect(f'{web.world}/app.db', isolation_level=None, check_same_thread=False)
        c.execute('begin immediate')
        return c

    def started(self, web, name, server):
        """Starts an act that waits for the writer, and returns its job."""
        status, job = server.act(ACTS[name], wait=0)
        if status != 202: raise SystemExit(f'{name}: not started: {status} {job}')
        return job

    def download(self, server, name, world, store='backups'):
        """What is wrong about a download of a whole archive."""
        status, data = server.ask('GET', f'/backups/{name}/download')
        with open(f'{world}/{store}/{name}', 'rb') as f: whole = f.read()
        return [] if status == 200 and data == whole else [f'a download of {name} answers {status} {data[:200] if isinstance(data, bytes) else data}']

    def pages(self, server, allowed=(200,)):
        """What is wrong about signing in and looking at the pages."""
        c = server.send('POST', '/sign-in', f'token={TOKENS["ops"]}', None, Host='localhost', Origin='http://localhost', **{'Content-Type': 'application/x-www-form-urlencoded'})
        r = c.getresponse(); r.read(); c.close()
        if r.status != 303: return [f'signing in answers {r.status}']
        cookie, bad = r.getheader('set-cookie').split(';')[0], []
        for path in ('/', '/backups', '/log'):
            c = server.send('GET', path, b'', None, Host='localhost', Cookie=cookie)
            r = c.getresponse(); r.read(); c.close()
            if r.status != 200 and (path == '/' or r.status not in allowed): bad.append(f'the page {path} answers {r.status}')
        return bad

    def full(self):
        for name in ACTS:
            web = self.web(name)
            used = int(subprocess.check_output(['du', '-sk', '--apparent-size', web.template]).split()[0])
            for spare in (0, self.rnd.randrange(10, 400)):
                shutil.rmtree(web.world, ignore_errors=True); os.mkdir(web.world)
                subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={used + 2000}k', 'tmpfs', web.world], check=True)
                try:
                    shutil.copytree(web.template, web.world, symlinks=True, dirs_exist_ok=True)
                    server = Server(self.a.bin, web.world)
                    left = os.statvfs(web.world)
                    with open(f'{web.world}/filler', 'wb') as f: f.write(bytes(max(0, left.f_bavail * left.f_bsize - spare * 1024)))
                    status, job = server.act(web.act)
                    # A plan unpacks, too; and then there is no job.
                    done = status == 200 and job.get('state') == 'done'
                    bad = [] if done or (job.get('error') or {}).get('code') == 15 and (status == 507 or status == 200 and job['state'] == 'failed') else [f'not 507: {status} {job}']
                    self.count['disks full'] += not done
                    left = archives(f'{web.world}/backups')
                    bad += self.download(server, max(left), web.world) + self.pages(server)
                    bad += web.judge(web.world, 0 if done else 15, b'it is full')
                    os.unlink(f'{web.world}/filler')
                    # The same server goes on.
                    status, job = server.act(ACTS['backup'])
                    if status != 200 or job['state'] != 'done': bad.append(f'with space again: {status} {job}')
                    bad += server.stop()
                    shutil.copytree(web.world, web.world + '.copy', symlinks=True)
                finally: subprocess.run(['umount', web.world], check=True)
                os.rmdir(web.world); os.rename(web.world + '.copy', web.world)
                self.report(f'{name}, {spare} KiB left', bad + web.next())

    def away(self):
        for name in ACTS:
            web = self.web(name); web.fresh()
            store, elsewhere = f'{web.world}/backups', f'{web.world}/elsewhere'
            server = Server(self.a.bin, web.world)
            os.rename(store, elsewhere)
            status, job = server.act(web.act)
            bad = [] if status in (404, 503) and job['error']['code'] in (12, 16) or status == 409 and job['error']['code'] == 14 else [f'without a store: {status} {job}']
            status, answer = server.ask('GET', f'/backups/{DAY.format(22)}/download')
            if status not in (404, 503): bad.append(f'a download without a store answers {status}')
            bad += self.pages(server, (200, 503))
            if os.path.exists(store) and archives(store): bad.append('a new store was made')
            if archives(elsewhere) != web.before: bad.append('the store that was away changed')
            if os.path.exists(store): bad.append(f'something stands where the store was: {list(os.walk(store))}'); shutil.rmtree(store)
            os.rename(elsewhere, store)
            bad += self.download(server, DAY.format(22), web.world) + server.stop()
            self.judge(web, 'the store is away', bad, False)
        for name in ('restore', 'undo'):
            web = self.web(name); web.fresh()
            store, elsewhere = f'{web.world}/backups', f'{web.world}/elsewhere'
            server, writer = Server(self.a.bin, web.world), self.locked(web)
            job = self.started(web, name, server)
            os.rename(store, elsewhere)
            writer.close()
            job, bad = server.ended(job), []
            if job['state'] not in ('done', 'failed') or job['state'] == 'failed' and not job['error']: bad.append(f'a job whose store went away: {job}')
            if os.path.exists(store):
                # Nobody may lose what such a job wrote there.
                if archives(store): bad.append(f'archives in a new store: {archives(store)}')
                shutil.rmtree(store)
            os.rename(elsewhere, store)
            self.count['stores gone'] += 1
            bad += server.stop()
            self.judge(web, 'the store goes away', bad, False)
        self.away_from_download()

    def big(self, web):
        """A backup of 24 MiB that does not compress, and its name."""
        c = sqlite3.connect(f'{web.world}/app.db', isolation_level=None)
        c.execute('create table big(x)')
        for _ in range(24): c.execute('insert into big values(?)', (self.rnd.randbytes(1 << 20),))
        c.close()
        server = Server(self.a.bin, web.world)
        status, job = server.act(ACTS['backup'])
        if status != 200: raise SystemExit(f'big: {status} {job}')
        return server, os.path.basename(job['document']['archive'])

    def begun(self, server, name, buffer=8192):
        """A download of which the first bytes were taken: (status, socket)."""
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        s.settimeout(PATIENCE)
        s.connect(('127.0.0.1', server.port))
        Server.requests['GET'] += 1
        s.sendall(f'GET /api/v1/backups/{name}/download HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKENS["ops"]}\r\n\r\n'.encode())
        head = b''
        while b'\r\n\r\n' not in head: head += s.recv(1)
        return int(head.split()[1]), s

    def away_from_download(self):
        web = self.web('backup'); web.fresh()
        server, name = self.big(web)
        _, s = self.begun(server, name, 1 << 19)
        with open(f'{web.world}/backups/{name}', 'rb') as f: whole = f.read()
        os.rename(f'{web.world}/backups', f'{web.world}/elsewhere')
        got = b''
        while len(got) < len(whole):
            part = s.recv(1 << 20)
            if not part: break
            got += part
        bad = [] if got == whole else [f'{len(got)} of {len(whole)} bytes, or others, and the download ended']
        if server.ask('GET', f'/backups/{name}/download')[0] not in (404, 503): bad.append('a download from a store that is away')
        os.rename(f'{web.world}/elsewhere', f'{web.world}/backups')
        bad += self.download(server, name, web.world) + server.stop()
        self.report('the store goes away from a download', bad)

    def gone(self):
        web = self.web('backup'); web.fresh()
        server, name = self.big(web)
        bad, before = self.download(server, name, web.world), server.memory()
        for _ in range(max(6, self.a.cases // 4)):
            begun = [self.begun(server, name) for _ in range(2)]
            third = server.ask('GET', f'/backups/{name}/download')[0]
            if [status for status, _ in begun] != [200, 200] or third != 503: bad.append(f'two downloads and a third: {begun} {third}')
            for _, s in begun:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0' if self.rnd.random() < .5 else bytes(8))
                s.close()
            until = time.time() + PATIENCE
            while True:
                # The place of a client that left is given away at once, not after the 60 seconds of one that does not read.
                free = [self.begun(server, name) for _ in range(2)]
                for _, s in free: s.close()
                if [status for status, _ in free] == [200, 200]: break
                if time.time() > until: bad.append('the place of a client that left stays taken'); break
                time.sleep(.02)
            until = time.time() + PATIENCE
            while server.ask('GET', f'/backups/{name}/download')[0] == 503 and time.time() < until: time.sleep(.02)
            self.count['downloads left'] += 4
            if bad: break
        grown = server.memory() - before
        if grown > 16 << 10: bad.append(f'{grown} KiB more memory')
        bad += [] if bad else self.download(server, name, web.world)
        self.report('clients leave downloads', bad + server.stop())

        for name in ('restore', 'undo'):
            web = self.web(name); web.fresh()
            server, writer = Server(self.a.bin, web.world), self.locked(web)
            method, path, body = web.act
            plan = server.plan(web.act)[1]['plan']
            c = server.send(method, f'/api/v1{path}?wait=60', json.dumps({**body, 'plan': plan}))
            until = time.time() + PATIENCE
            while server.send('GET', '/readyz').getresponse().status != 503 and time.time() < until: time.sleep(.005)
            status, job = server.ask('POST', '/backups', {})
            bad = [] if status == 409 else [f'a backup beside it: {status} {job}']
            c.sock.shutdown(socket.SHUT_RDWR); c.close()
            writer.close()
            job = server.ended({'id': job['job']})
            if (job['command'], job['state']) != (name, 'done'): bad.append(f'its client left, and then: {job}')
            self.count['clients gone'] += 1
            self.judge(web, 'the client leaves', bad + server.stop(), job['state'] == 'done')

        web = self.web('backup'); web.fresh()
        server, bad = Server(self.a.bin, web.world), []
        for path in ('/backups', '/rotate', f'/backups/{DAY.format(22)}/restore'):
            for _ in range(10):
                s = socket.create_connection(('127.0.0.1', server.port))
                text = f'POST /api/v1{path}?wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKENS["ops"]}\r\nContent-Length: 60000\r\n\r\n{{"note": "'
                s.sendall(text.encode() + bytes(self.rnd.randrange(59990)))
                Server.requests['POST'] += 1
                s.close()
                self.count['uploads left'] += 1
        if server.ask('GET', '/status')[0] != 200: bad.append('the server does not go on')
        if archives(f'{web.world}/backups') != web.before: bad.append('half a request made or removed archives')
        self.judge(web, 'the client leaves in the middle of a request', bad + server.stop(), False)

    def two(self):
        for name in ('restore', 'undo', 'rotate', 'delete'):
            web = self.web(name); web.fresh()
            server = Server(self.a.bin, web.world)
            writer = self.locked(web) if name in ('restore', 'undo') else None
            method, path, body = web.act
            plans = [server.plan(web.act, who) for who in TOKENS]
            bad = [] if all(status == 200 and plan['plan'] == plans[0][1]['plan'] for status, plan in plans) else [f'two plans: {plans}']
            confirmed = {**body, 'plan': plans[0][1]['plan']}
            confirm = lambda who='ops', wait=60: server.ask(method, f'{path}?wait={wait}', confirmed, who)
            answers = self.together(*(lambda who=who: confirm(who, 0 if writer else 60) for who in TOKENS))
            taken = [job for status, job in answers if status in (200, 202)]
            refused = [(status, answer) for status, answer in answers if status not in (200, 202)]
            # The second one hears of the job that runs, or that what it planned is no longer so.
            fits = lambda status, answer: status == 409 and ('job' in answer or answer.get('plan')) or name == 'delete' and status == 404
            if len(taken) != 1 or not all(fits(*one) for one in refused): bad.append(f'two confirm: {answers}')
            if writer: writer.close()
            bad += self.logged(server, taken)
            # What was shown is no longer what would happen: after a commit of another schema, or once it is done.
            if name == 'restore':
                advance(f'{web.world}/app.db', 9)
                c = sqlite3.connect(f'{web.world}/app.db', isolation_level=None); c.execute('create table more(x)'); c.close()
                status, answer = confirm()
                if status != 409 or not answer.get('plan'): bad.append(f'a plan of another schema: {status} {answer}')
                c = sqlite3.connect(f'{web.world}/app.db', isolation_level=None); c.execute('drop table if exists more'); c.close()
            if name in ('rotate', 'delete'):
                status, answer = confirm()
                if status not in (404, 409): bad.append(f'a plan that was carried out: {status} {answer}')
            self.count['confirmed twice'] += 1
            self.judge(web, 'two administrators', bad + server.stop(), False)
        self.crowd()

    def together(self, *acts):
        barrier, answers = threading.Barrier(len(acts)), [None] * len(acts)
        def go(n):
            barrier.wait()
            answers[n] = acts[n]()
        threads = [threading.Thread(target=go, args=(n,)) for n in range(len(acts))]
        for t in threads: t.start()
        for t in threads: t.join()
        return answers

    def logged(self, server, jobs):
        """Each job has an end, and those that were carried out an entry in the log that names who ordered it."""
        ended = [server.ended(job) for job in jobs]
        bad = [f'a job without an end: {job}' for job in ended if job.get('state') not in ('done', 'failed')]
        bad += [f'failed without a message: {job}' for job in ended if job.get('state') == 'failed' and not job['error']]
        command = {'undo': 'restore'}
        want = collections.Counter((command.get(job['command'], job['command']), job['by']) for job in ended if job.get('state') == 'done')
        have = collections.Counter((one['command'], one['user']) for one in server.log() if one['exit_code'] in (0, 3))
        return bad + [f'{n} jobs {key} and {have[key]} entries in the log' for key, n in want.items() if have[key] < n]

    def crowd(self):
        """Eight clients with two tokens, in random order."""
        for round in range(max(1, self.a.cases // 40)):
            web = self.web('restore'); web.fresh()
            server, jobs, odd, gone, lock = Server(self.a.bin, web.world), [], [], set(), threading.Lock()
            def client(seed):
                rnd = random.Random(seed)
                who = rnd.choice(list(TOKENS))
                for _ in range(6):
                    name, day = rnd.choice(('backup', 'rotate', 'restore', 'delete', 'verify', 'undo', 'download')), DAY.format(20 + rnd.randrange(7))
                    if name == 'download': status, answer = server.ask('GET', f'/backups/{day}/download', None, who)
                    else:
                        method, path, body = ACTS[name]
                        status, answer = server.act((method, re.sub(r'app_\w+\.tar\.gz', day, path), body), who, 0)
                    with lock:
                        self.count[f'answers {status}'] += 1
                        if status in (200, 202) and name != 'download': jobs.append(answer)
                        elif status not in (200, 404, 409, 503): odd.append(f'{name}: {status} {answer}')
            self.together(*(lambda n=n: client(f'{self.a.seed} {round} {n}') for n in range(8)))
            bad = odd + self.logged(server, jobs)
            for job in jobs:
                document = server.ended(job).get('document') or {}
                gone |= {one['archive'] if isinstance(one, dict) else one for field in ('remove', 'removed') for one in document.get(field) or ()}
            self.count['jobs at once'] += len(jobs)
            states = {'app': {web.old['app'], *(d for n in web.before for d in archive_contents(f'{web.template}/backups/{n}').values())}}
            bad += server.stop() + judge_store(f'{web.world}/backups', web.before, gone, states)[0] + web.judge_source(web.world, states)
            bad += verifies(self.a.bin, web.world) + judge_modes(web.world)
            self.report(f'eight clients, round {round}', bad)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--bin', required=True)
    p.add_argument('--only', default='calls,servers,full,away,gone,two')
    p.add_argument('--cases', type=int, default=40)
    p.add_argument('--seed', type=int, default=1)
    a = p.parse_args(); a.bin = os.path.abspath(a.bin)
    faults = Faults(a)
    try:
        for name in a.only.split(','):
            cases, bad, start = faults.cases, faults.bad, time.time()
            getattr(faults, name)()
            print(f'# {name}: {faults.cases - cases} cases, {faults.bad - bad} findings, {time.time() - start:.0f} s', flush=True)
        counts = ', '.join(f'{n} {what}' for what, n in sorted(faults.count.items()))
        print(f'# web: cases {faults.cases}, findings {faults.bad}, requests {sum(Server.requests.values())}, {counts}, seed {a.seed}')
    finally: shutil.rmtree(faults.work, ignore_errors=True)
    return 1 if faults.bad else 0


if __name__ == '__main__': sys.exit(main())
