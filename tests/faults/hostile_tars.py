#!/usr/bin/env python3
"""Writes hostile tar.gz or tar.zst archives, one per trick, for a restore/verify command to refuse.

  hostile_tars.py OUTDIR --good GOOD.tar.gz --member data.db [--sentinel /path/that/must/not/change] [--bare] [--zstd]

Every archive is built from the good one's metadata and main member; with --bare without the metadata. The test is: the command
exits non-zero (or restores exactly the good bytes), writes nothing outside its
target and temp folders, leaves no temp file, stays under its memory and time
limits, and reports the problem. 'ok-*' archives are odd but legal: accept or
refuse them, but never in part.
"""
import argparse, gzip, io, os, sqlite3, struct, subprocess, tarfile, tempfile
p = argparse.ArgumentParser(); p.add_argument('out'); p.add_argument('--good', required=True); p.add_argument('--member', required=True)
p.add_argument('--sentinel', default='/tmp/hostile-sentinel'); p.add_argument('--bare', action='store_true'); p.add_argument('--zstd', action='store_true'); a = p.parse_args(); os.makedirs(a.out, exist_ok=True)
with tarfile.open(a.good) as t: DATA, META, LAST = (t.extractfile(n).read() for n in (a.member, 'backup_metadata.json', 'RESTORE.txt'))
N = 0
END = 'zst' if a.zstd else 'gz'
def compress(raw, level=1): return subprocess.run(['zstd', '-qc', f'-{level}'], input=raw, capture_output=True, check=True).stdout if a.zstd else gzip.compress(raw, level)
def save(name, raw, gz=True):
    global N; N += 1
    with open(f'{a.out}/{name}.tar.{END}', 'wb') as f: f.write(compress(raw) if gz else raw)
def ti(name, type=tarfile.REGTYPE, size=None, link='', mode=0o600):
    t = tarfile.TarInfo(name); t.type, t.linkname, t.mode = type, link, mode; t.size = len(DATA) if size is None else size; return t
def tar(*members, end=True, fmt=tarfile.GNU_FORMAT, meta=None):
    b = io.BytesIO()
    if (not a.bare) if meta is None else meta: members = ((ti('backup_metadata.json', size=len(META)), META), *members, *([(ti('RESTORE.txt', size=len(LAST)), LAST)] if end else []))
    for t, d in members:
        b.write(t.tobuf(fmt)); d = d or b''; b.write(d + b'\0' * (-len(d) % 512))
    return b.getvalue() + (b'\0' * 1024 if end else b'')
# The offset of the header of the first entry after the metadata.
AT = 0 if a.bare else 512 + -(-len(META) // 512) * 512
def sum_up(b): b[AT + 148:AT + 156] = b'        '; b[AT + 148:AT + 156] = b'%06o\0 ' % sum(b[AT:AT + 512]); return bytes(b)
main = (ti(a.member), DATA); save('ok-control', tar(main)); save('duplicate-metadata', tar((ti('backup_metadata.json', size=len(META)), META), main)); save('metadata-huge', tar((ti('backup_metadata.json', size=1 << 30), b''), main, meta=False)); save('metadata-nested', tar((ti('backup_metadata.json', size=200000), b'[' * 200000), main, meta=False)); S = a.sentinel; up = '../' * 12 + S.lstrip('/')
evil = lambda n, **k: (ti(n, size=4, **k), b'evil')
save('absolute-path', tar(main, evil(S))); save('dotdot', tar(main, evil(up))); save('dotdot-inside', tar(main, evil('x/../../../' + S.lstrip('/'))))
save('main-as-absolute', tar((ti('/' + a.member), DATA))); save('main-dot-slash', tar((ti('./' + a.member), DATA)))
save('symlink-then-file', tar((ti('l', tarfile.SYMTYPE, 0, os.path.dirname(S)), None), evil('l/' + os.path.basename(S)), main))
save('symlink-as-main', tar((ti(a.member, tarfile.SYMTYPE, 0, S), None))); save('symlink-main-then-data', tar((ti(a.member, tarfile.SYMTYPE, 0, S), None), main))
save('hardlink-outside', tar((ti('h', tarfile.LNKTYPE, 0, S), None), evil('h'), main)); save('hardlink-as-main', tar((ti(a.member, tarfile.LNKTYPE, 0, '/etc/passwd'), None)))
for n, k in (('fifo', tarfile.FIFOTYPE), ('chardev', tarfile.CHRTYPE), ('blockdev', tarfile.BLKTYPE), ('dir', tarfile.DIRTYPE)): save(f'{n}-as-main', tar((ti(a.member, k, 0), None)))
save('setuid', tar((ti(a.member, mode=0o6777), DATA))); save('duplicate-main', tar(main, evil(a.member))); save('duplicate-main-first', tar(evil(a.member), main))
save('case-twin', tar(main, evil(a.member.upper()))); save('no-members', tar()); save('empty-main', tar((ti(a.member, size=0), b''))); save('extra-member', tar(main, evil('README')))
save('sidecar-wal', tar(main, (ti(a.member + '-wal', size=4096), os.urandom(4096)))); save('sidecar-journal', tar(main, (ti(a.member + '-journal', size=4096), os.urandom(4096))))
save('name-with-newline', tar(main, evil('a\nb'))); save('name-escape-codes', tar(main, evil('a\x1b[2J\x1b]0;x\x07'))); save('long-name', tar(main, evil('d/' * 4000 + 'f')))
b = bytearray(tar(main)); b[AT:AT + 4] = b'\xff\xfe\xfa\xf9'; save('name-not-utf8', sum_up(b))
b = bytearray(tar(main)); b[AT + 148:AT + 154] = b'000000'; save('bad-checksum', bytes(b))
def size_field(raw):
    b = bytearray(tar(main)); b[AT + 124:AT + 136] = raw; return sum_up(b)
save('size-too-big', size_field(b'%011o\0' % (len(DATA) + (1 << 30)))); save('size-base256-huge', size_field(b'\x80' + b'\0' * 3 + struct.pack('>Q', (1 << 63) - 1)))
save('size-negative', size_field(b'\xff' * 12)); save('size-garbage', size_field(b'zzzzzzzzzzz\0')); save('size-smaller', size_field(b'%011o\0' % max(0, len(DATA) - 4096)))
def pax(**kw):
    body = b''
    for k, v in kw.items():
        rec = f' {k}={v}\n'.encode(); n = len(rec) + 1
        while len(str(n)) + len(rec) != n: n += 1
        body += str(n).encode() + rec
    return (ti('pax', tarfile.XHDTYPE, len(body)), body)
inner = tar(evil(S), meta=False); save('pax-size-desync', tar(pax(size=len(inner)), (ti('inner.tar', size=0), inner), main)); save('pax-path-absolute', tar(pax(path=S), main)); save('pax-linkpath', tar(pax(linkpath=S), (ti('l', tarfile.SYMTYPE, 0, 'x'), None), main))
save('pax-size-huge', tar(pax(size=1 << 62), main)); save('pax-bad-record', tar((ti('pax', tarfile.XHDTYPE, 9), b'999 a=b\n\n'), main)); save('gnu-longlink-huge', tar((ti('././@LongLink', b'L', 1 << 33), None), main))
save('truncated-half', tar(main)[:len(DATA) // 2]); save('ok-no-end-blocks', tar(main, end=False)); save('trailing-member-after-end', tar(main) + tar(evil(S), meta=False)); save('trailing-junk', tar(main) + os.urandom(2048))
g = compress(tar(main)); save('gzip-truncated', g[:-9], False); save('gzip-bad-crc', g[:-8] + b'\0\0\0\0' + g[-4:], False); save('gzip-bad-isize', g[:-4] + b'\1\2\3\4', False)
save('ok-gzip-two-members', compress(tar(main)[:1024]) + compress(tar(main)[1024:]), False); save('gzip-junk-after', g + os.urandom(100), False); save('gzip-second-archive', g + compress(tar(evil(S), meta=False)), False)
save('not-gzip', os.urandom(4096), False); save('empty-file', b'', False); save('plain-tar', tar(main), False); save('gzip-of-gzip', compress(g), False)
def bomb(name, hdr, total):
    global N; N += 1
    block = compress(bytes(1 << 26), 9)
    with open(f'{a.out}/{name}.tar.{END}', 'wb') as f:
        f.write(compress(hdr, 9))
        for _ in range(total >> 26): f.write(block)
bomb('bomb-8GiB-main', tar(end=False) + ti(a.member, size=8 << 30).tobuf(), 8 << 30); bomb('bomb-2GiB-extra', tar(main, end=False) + ti('x', size=2 << 30).tobuf(), 2 << 30)
save('many-members', tar(main, *[evil(f'f{i}') for i in range(100000)])); save('many-empty-pax', tar(*[pax(comment='x')] * 50000, main))
for n, b in (('metadata-escape-codes', META.replace(b'"host": "', b'"host": "\\u001b[2J\\u0007')), ('metadata-path-name', META.replace(b'"file": "' + a.member.encode(), b'"file": "../' + a.member.encode())), ('metadata-half', META[:len(META) // 2]), ('metadata-format-9', META.replace(b'"format": 1', b'"format": 9')), ('metadata-set-dots', META.replace(b'"set": "', b'"set": "../'))):
    save(n, tar((ti('backup_metadata.json', size=len(b)), b), main, (ti('RESTORE.txt', size=len(LAST)), LAST), meta=False))
with tempfile.NamedTemporaryFile(suffix='.db') as f:
    # Another database of the same size, sound in itself: only the digest differs.
    f.write(DATA); f.flush(); c = sqlite3.connect(f.name, isolation_level=None); c.execute('pragma journal_mode=off'); c.execute('update t set generation = 6 where id = 0'); c.close()
    save('other-rows', tar((ti(a.member, size=os.path.getsize(f.name)), open(f.name, 'rb').read())))
flip = bytearray(DATA); flip[len(flip) // 2] ^= 1; save('one-bit-changed', tar((ti(a.member), bytes(flip)))); save('not-a-database', tar((ti(a.member, size=5000), os.urandom(5000)))); save('db-truncated', tar((ti(a.member, size=len(DATA) // 2), DATA[:len(DATA) // 2])))
print(f'{N} archives in {a.out}')
