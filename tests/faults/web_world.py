"""A server in a world, and operations that are carried out over HTTP."""
import collections, hashlib, http.client, json, os, re, shutil, subprocess, threading, time

from invariants import *
from scenario import Scenario, advance, make_database

TOKENS = {name: f'heirloom_{name}-0123456789abcdef0123456789abcdef' for name in ('ops', 'second')}
CONFIGURATION = '[retention]\ndaily = 3\nweekly = 1\nmonthly = 0\n[sets.app.databases]\napp = "app.db"\n' + ''.join(
    f'[server.tokens.{name}]\nrole = "admin"\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n' for name, token in TOKENS.items())
DAY = 'app_202602{}T030000Z.tar.gz'
PATIENCE = 50                     # seconds until something that should have happened counts as never


class Server:
    """`heirloom serve` in a world."""
    requests = collections.Counter()

    def __init__(self, binary, world, now=NOW):
        self.world = world
        self.process = subprocess.Popen([binary, 'serve', '--config', 'h.toml', '--listen', '127.0.0.1:0', '--as-root'], cwd=world, start_new_session=True,
                                        env=environment(now, TMPDIR=f'{world}/tmp'), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.said = b''
        while b'listening on http://' not in self.said:
            line = self.process.stderr.readline()
            if not line: raise SystemExit(f'the server does not start: {self.said.decode()}')
            self.said += line
        self.port = int(re.search(rb'127\.0\.0\.1:(\d+)', self.said)[1])
        self.reader = threading.Thread(target=self.drain, daemon=True)
        self.reader.start()

    def drain(self):
        for line in self.process.stderr: self.said += line

    def send(self, method, path, body=b'', who='ops', **headers):
        """Sends a request and returns the connection, or the exception if there is none."""
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=120)
        Server.requests[method] += 1
        if who: headers['Authorization'] = f'Bearer {TOKENS[who]}'
        c.request(method, path, body, headers)
        return c

    def ask(self, method, path, body=None, who='ops'):
        """Returns the status and what was answered; status 0 if the server died."""
        try:
            c = self.send(method, f'/api/v1{path}', b'' if body is None else json.dumps(body).encode(), who)
            try:
                r = c.getresponse()
                data = r.read()
            finally: c.close()
        except (OSError, http.client.HTTPException) as error: return 0, {'error': str(error)}
        try: return r.status, json.loads(data)
        except ValueError: return r.status, data

    def plan(self, act, who='ops'):
        """Plans an act that takes two steps."""
        method, path, body = act
        return self.ask(method, f'{path}?wait=600', {**body, 'dry_run': True}, who)

    def act(self, act, who='ops', wait=60):
        """Plans an act, if it takes two steps, and carries it out."""
        method, path, body = act
        if body is not None:
            status, plan = self.plan(act, who)
            if status != 200: return status, plan
            body = {**body, 'plan': plan['plan']}
        return self.ask(method, f'{path}?wait={wait}', body, who)

    def ended(self, job):
        """Waits until a job has ended, and returns its document."""
        until = time.time() + PATIENCE
        while time.time() < until:
            status, job = self.ask('GET', f"/jobs/{job['id']}")
            if status != 200 or job['state'] != 'running': return job
            time.sleep(.02)
        return {**job, 'state': 'NEVER ENDS'}

    def log(self): return self.ask('GET', '/log')[1]['activities']

    def memory(self):
        return int(re.search(r'VmHWM:\s+(\d+)', open(f'/proc/{self.process.pid}/status').read())[1])

    def stop(self):
        """Ends it, and returns what was wrong about that."""
        self.process.terminate()
        try: code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired: self.kill(); code = 'never'
        self.reader.join(5)
        return [] if code == 0 and b'panicked' not in self.said else [f'the server ends with {code}: {said(self.said)}']

    def kill(self):
        self.process.kill()
        self.process.wait()


def archive(name): return ('POST', f'/backups/{name}/restore', {})


ACTS = {'backup': ('POST', '/backups', None), 'verify': ('POST', f"/backups/{DAY.format(21)}/verify", None), 'restore': archive(DAY.format(21)),
        'undo': ('POST', '/restore/undo', {'set': 'app'}), 'rotate': ('POST', '/rotate', {}), 'delete': ('DELETE', f'/backups/{DAY.format(21)}', {})}


class Web(Scenario):
    """An operation over HTTP. All worlds have the same path, because an undo belongs to the path of its database."""

    def __init__(self, name, work, binary):
        self.name, self.binary, self.act, self.world, self.template = name, binary, ACTS[name], f'{work}/w', f'{work}/{name}'
        self.keeps_source = name not in ('restore', 'undo')
        shutil.rmtree(self.world, ignore_errors=True)
        self.build(self.world)
        self.before, self.old = archives(f'{self.world}/backups'), self.contents(self.world)
        self.files = {'app.db': sha256(f'{self.world}/app.db')}
        os.rename(self.world, self.template)
        self.fresh()
        server = Server(binary, self.world)
        status, job = server.act(self.act)
        if status != 200 or job['state'] != 'done': raise SystemExit(f'{name}: without a fault: {status} {job}')
        if server.stop(): raise SystemExit(f'{name}: the server does not end')
        self.may_go, self.new = set(self.before) - set(archives(f'{self.world}/backups')), self.contents(self.world)
        # An undo of an undo restores what the first one replaced.
        bad = self.judge(self.world, 0, b'') + self.next()
        if bad: raise SystemExit(f'{name}: the invariants do not hold without a fault: {bad}')

    def build(self, world):
        os.makedirs(f'{world}/tmp')
        with open(f'{world}/h.toml', 'w') as f: f.write(CONFIGURATION)
        make_database(f'{world}/app.db', 'delete', 0, 150)
        self.archives_of(self.binary, world, 'app', range(1, 8), ['--config', 'h.toml'])
        advance(f'{world}/app.db', 9)
        if self.name == 'undo':
            code, _, err = run([self.binary, 'restore', DAY.format(22), '--force', '--config', 'h.toml'], world, environment('2026-02-28T00:00:00Z'))
            if code: raise SystemExit(f'undo: cannot prepare: {said(err)}')

    def fresh(self):
        shutil.rmtree(self.world, ignore_errors=True)
        shutil.copytree(self.template, self.world, symlinks=True)
        return self.world

    def go_again(self, world, now):
        """The same over HTTP, with a server that is started anew. What has been done already may be refused."""
        server = Server(self.binary, world, now)
        status, job = server.act(self.act)
        bad = server.stop()
        done = status == 200 and job['state'] == 'done' or self.name == 'delete' and status == 404
        code = 0 if done and not bad else 1
        return code, b'', f'{status} {job} {bad}'.encode()

    def next(self): return self.settle(self.world)
