"""Invariants that hold after any fault, checked from outside the tool: tar, gzip, zstd, SHA-256 and another build of SQLite.

No loss means: every listed archive verifies, none is missing except by the policy, the source (or the target of a
restore) is sound and entirely old or entirely new, exit code 0 means a durable, verified result, a failure has a
message, the next run works, and no scratch is left after it.
"""
import hashlib, io, json, os, re, shutil, sqlite3, subprocess, tarfile, tempfile, threading

NOW = '2026-03-01T03:00:00Z'
LATER = '2026-03-01T04:00:00Z'
ARCHIVE = re.compile(r'.*\.(tar\.gz|tar\.zst|tar)$')
_judged, _lock = {}, threading.Lock()


def environment(now=NOW, **more):
    """A cleared environment with a fixed clock, and a host label: the machine may be a container."""
    # Commands run in the folder of their world, so each world has its own record of stores.
    env = {'PATH': os.environ['PATH'], 'HOME': '/nonexistent', 'HEIRLOOM_STATE_DIR': 'state', 'TZ': 'UTC', 'LC_ALL': 'C.UTF-8', 'USER': 'tester', 'HEIRLOOM_NOW': now,
           'HEIRLOOM_HOST': 'here'}
    env.update(more)
    return env


def run(args, cwd, env=None, timeout=120, **more):
    """Runs a command in a new session, so that a hanging one can be killed with its children and nothing else."""
    p = subprocess.Popen(args, cwd=cwd, env=env or environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, start_new_session=True, **more)
    try:
        out, err = p.communicate(timeout=timeout)
        return p.returncode, out, err
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        p.communicate()
        return 124, b'', b'HANGS'


def sha256(path):
    with open(path, 'rb') as f: return hashlib.sha256(f.read()).hexdigest()


def contents(path, size=None):
    """Digest of all rows of all tables. Raises ValueError if SQLite finds damage. The file is opened in place: pass a copy."""
    c = sqlite3.connect(path)
    try:
        found = c.execute('pragma integrity_check').fetchone()[0]
        if found != 'ok': raise ValueError(f'integrity_check: {found}')
        h = hashlib.sha256()
        for name, sql in c.execute("select name, sql from sqlite_master where type='table' order by name").fetchall():
            h.update(repr((name, sql)).encode())
            for row in c.execute(f'select * from "{name}"'): h.update(repr(row).encode())
        return h.hexdigest()[:16]
    except sqlite3.DatabaseError as error:
        raise ValueError(f'{error}')
    finally:
        c.close()


def contents_of_live(path):
    """Digest of a database with its sidecars, taken from a copy, so that reading changes nothing."""
    d = tempfile.mkdtemp(prefix='look-')
    try:
        for suffix in ('', '-wal', '-journal'):
            if os.path.exists(path + suffix): shutil.copyfile(path + suffix, f'{d}/x.db{suffix}')
        if not os.path.exists(f'{d}/x.db'): return None
        return contents(f'{d}/x.db')
    finally:
        shutil.rmtree(d, ignore_errors=True)


def archive_contents(path):
    """Reads an archive with only gzip, zstd and tar, compares it with its metadata, and returns {database name: digest of its rows}."""
    key = sha256(path)
    with _lock:
        if key in _judged: return _judged[key]
    test = {'.gz': ['gzip', '-t', path], '.zst': ['zstd', '-qt', path]}.get(os.path.splitext(path)[1], ['true'])
    if subprocess.run(test, capture_output=True).returncode: raise ValueError(f'{test[0]} refuses it')
    found = {}
    # Python reads Zstandard only from release 3.14 on.
    tar = io.BytesIO(subprocess.run(['zstd', '-qdc', path], capture_output=True, check=True).stdout) if path.endswith('.zst') else None
    with tarfile.open(path if tar is None else None, fileobj=tar) as t:
        members = t.getmembers()
        files = {m.name: t.extractfile(m).read() for m in members if m.isfile()}
    metadata = json.loads(files['backup_metadata.json'])
    if 'format' not in metadata:
        # The tool that heirloom replaces: no digests, any order, one file for each database.
        described = [{'name': n.removesuffix('.db'), 'file': n, 'bytes': len(b), 'sha256': hashlib.sha256(b).hexdigest()} for n, b in files.items() if n.endswith('.db')]
        metadata['databases'] = described
    elif members[0].name != 'backup_metadata.json': raise ValueError('the metadata is not first')
    d = tempfile.mkdtemp(prefix='look-')
    try:
        for database in metadata['databases']:
            data = files[database['file']]
            if len(data) != database['bytes']: raise ValueError(f"{database['name']}: {len(data)} bytes, metadata says {database['bytes']}")
            if hashlib.sha256(data).hexdigest() != database['sha256']: raise ValueError(f"{database['name']}: wrong sha256")
            with open(f'{d}/x.db', 'wb') as f: f.write(data)
            found[database['name']] = contents(f'{d}/x.db')
            for left in os.listdir(d): os.unlink(f'{d}/{left}')
    finally:
        shutil.rmtree(d, ignore_errors=True)
    with _lock: _judged[key] = found
    return found


def archives(store):
    """The archives of a store: {name: sha256 of the file}."""
    if not os.path.isdir(store): return {}
    return {n: sha256(f'{store}/{n}') for n in sorted(os.listdir(store)) if ARCHIVE.match(n)}


def pending(store):
    """The archives that are committed in the workspace but not in the store yet: {name: sha256 of the file}."""
    return archives(f'{store}/.heirloom/pending')


def scratch(world):
    """The leftovers of runs: scratch and notes beside targets, scratch, holds and pending archives in the store, staged files, temporary files."""
    left = []
    for d in (world, f'{world}/tmp'):
        if os.path.isdir(d): left += [os.path.join(d, n) for n in os.listdir(d) if n.startswith('.heirloom-') or d.endswith('/tmp')]
    private = f'{world}/backups/.heirloom'
    if os.path.isdir(private):
        left += [f'{private}/{n}' for n in os.listdir(private) if not re.fullmatch(r'lock|run\.lock|made|restores|seen|holds|pending|activity\.db(-journal|\.damaged)?', n)]
        for d in ('holds', 'pending'):
            if os.path.isdir(f'{private}/{d}'): left += [f'{private}/{d}/{n}' for n in os.listdir(f'{private}/{d}')]
        if os.path.isdir(f'{private}/seen'):
            left += [f'{private}/seen/{n}' for n in os.listdir(f'{private}/seen') if not re.fullmatch(r'activity-[0-9a-f]{32}\.json', n)]
    return left


def said(stderr):
    return stderr.decode(errors='replace').strip().replace('\n', ' | ')[-300:]


def judge_exit(code, stderr, log=''):
    """Panics, silent failures, and exit 0 after a failed sync. `log` is the output of strace."""
    bad = []
    if code in (101, 134, 139, -6, -11) or code != 137 and b'panicked' in stderr: bad.append(f'panic: {said(stderr)}')
    if code == 124: bad.append('hangs')
    mute = re.search(r'write\(2.*INJECTED', log)
    if code not in (0, 137) and not stderr.strip() and not mute: bad.append(f'exit {code} without a message')
    for m in re.finditer(r'(?:fsync|fdatasync)\(\d+<([^>]*)>(\(deleted\))?.*INJECTED.*$', log, re.M):
        path = m.group(1)
        # EINTR is retried. Files that SQLite creates in scratch are worthless, and so are deleted files and the
        # activity log (synced only if a killed run left its journal). A folder may be synced again, because SQLite
        # ignores errors of its own folder sync; a file may not, because the kernel reports lost pages only once.
        if 'EINTR' in m.group(0) or m.group(2) or re.search(r'/run-[^/]*(/[^/]*\.(db|vacuumed)[^/]*)?$|/\.heirloom-run-|/put-record-|/activity\.db(-journal)?$', path): continue
        # The record of known stores is not part of the backup: a failure to write it is only reported.
        if re.search(r'/state/stores(/|$)', path) and b'cannot remember this store' in stderr: continue
        again = re.search(r'sync\(\d+<' + re.escape(path) + r'>\)\s*= 0', log[m.end():])
        if code == 0 and not (again and re.search(r'/(w|backups|\.heirloom)$', path)): bad.append(f'exit 0 although a sync failed: {m.group(0)}')
    for c in stderr.decode(errors='replace'):
        if ord(c) < 32 and c not in '\n\t' or 127 <= ord(c) < 160:
            bad.append(f'raw control character {ord(c):#x} on stderr')
            break
    return bad


def judge_store(store, before, may_go, allowed, broken=()):
    """Every earlier archive is unchanged (or removed by the policy); every new one is complete. Returns (problems, new names).

    `allowed` maps the names of databases to the digests that a new archive may hold; `broken` names archives that were damaged on purpose.
    """
    bad, new = [], []
    now = archives(store)
    for name in pending(store):
        try: archive_contents(f'{store}/.heirloom/pending/{name}')
        except Exception as error: bad.append(f'PENDING BUT BROKEN {name}: {error}')
    for name, digest in before.items():
        if name not in now:
            if name not in may_go: bad.append(f'LOST {name}')
        elif now[name] != digest: bad.append(f'CHANGED {name}')
    for name in now:
        if name in broken: continue
        try:
            held = archive_contents(f'{store}/{name}')
        except Exception as error:
            bad.append(f'LISTED BUT BROKEN {name}: {error}')
            continue
        if name in before: continue
        new.append(name)
        for database, digest in held.items():
            if digest not in allowed.get(database, ()): bad.append(f'{name}: {database} holds a state that never was')
    for name in os.listdir(store) if os.path.isdir(store) else ():
        if name.endswith('.damaged') and name[:-8] in before and name[:-8] not in broken: bad.append(f'a sound archive was marked as damaged: {name}')
    return bad, new


def judge_modes(world, umask_free=True):
    """Files that the tool creates are private to its user."""
    bad = []
    store = f'{world}/backups'
    for folder, folders, files in os.walk(store):
        for n in folders:
            if os.stat(f'{folder}/{n}').st_mode & 0o777 != 0o700: bad.append(f'folder {n} has mode {os.stat(f"{folder}/{n}").st_mode & 0o777:o}')
        for n in files:
            if os.stat(f'{folder}/{n}').st_mode & 0o777 != 0o600: bad.append(f'file {n} has mode {os.stat(f"{folder}/{n}").st_mode & 0o777:o}')
    return bad


def verifies(binary, world, now=LATER, broken=()):
    """The tool's own verification of all archives."""
    code, out, err = run([binary, 'verify', '--all'], world, environment(now, TMPDIR=f'{world}/tmp'))
    return [] if code == (13 if broken else 0) else [f'verify --all says {code}: {said(err)}']
