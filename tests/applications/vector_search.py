"""A vector search with sqlite-vec that stays up: a command per line on stdin, an answer per line on stdout."""

import struct
import sys
import threading
import zlib

import apsw
import sqlite_vec


def connect():
    database = apsw.Connection(sys.argv[1])
    database.set_busy_timeout(30000)
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    return database


def place(name):
    """Returns the vector of a document: the same for the same name."""
    return struct.pack("4f", *(byte / 255 for byte in struct.pack("I", zlib.crc32(name.encode()))))


def add(database, name):
    with database:
        database.execute("insert into documents(name) values (?)", (name,))
        database.execute("insert into vectors values (?, ?, ?)", (database.last_insert_rowid(), place(name), name[:1]))
    return name


def find(database, name):
    """Searches the nearest vector through the extension."""
    nearest = "select id, distance from vectors where embedding match ? and k = 1"
    for (document, distance) in database.execute(nearest, (place(name),)):
        if distance == 0 and database.execute("select name from documents where id = ?", (document,)).get == name:
            return "found"
    return "not found"


def judge(database):
    """Compares each vector with its document, and lets SQLite and the extension check themselves."""
    with database:
        assert database.execute("pragma integrity_check").get == "ok"
        documents = list(database.execute("select id, name from documents order by id"))
        vectors = list(database.execute("select id, embedding from vectors order by id"))
    assert vectors == [(document, place(name)) for (document, name) in documents], (len(documents), len(vectors))
    return "sound"


stopped = threading.Event()
written, errors = [], []


def write():
    database = connect()
    while not stopped.wait(0.005):
        try:
            written.append(add(database, f"visitor{len(written)}"))
        except apsw.Error as error:
            errors.append(repr(error))
    database.close()


database = connect()
database.execute("pragma journal_mode = wal")
database.execute("create table if not exists documents(id integer primary key, name text)")
database.execute(
    "create virtual table if not exists vectors using vec0(id integer primary key, embedding float[4], initial text)"
)
writer = threading.Thread(target=write, daemon=True)
print("ready", flush=True)
for line in sys.stdin:
    command, _, name = line.strip().partition(" ")
    if command == "add":
        answer = add(database, name)
    elif command == "find":
        answer = find(database, name)
    elif command == "judge":
        answer = judge(database)
    elif command == "write":
        answer = writer.start() or "writing"
    elif command == "stop":
        stopped.set()
        writer.join()
        answer = "written without errors" if written and not errors else f"{len(written)} written; {errors[:1]}"
    elif command == "fill":
        with database:
            for number in range(int(name)):
                add(database, f"document{number}")
        answer = "filled"
    elif command == "clear":
        database.execute("delete from vectors; delete from documents")
        answer = "cleared"
    print(answer, flush=True)
