"""A Django site that stays up: a command per line on stdin, an answer per line on stdout."""

import sys
import threading
from io import StringIO
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(sys.argv[1]),
            "OPTIONS": {"timeout": 30},
        }
    },
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    SECRET_KEY="of a test",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402  (models exist after the setup)
from django.db import connection, transaction  # noqa: E402

stopped = threading.Event()
written, errors = [], []


def write():
    """Creates users, as requests would, on a connection of its own."""
    while not stopped.wait(0.005):
        try:
            User.objects.create(username=f"visitor{len(written)}-{threading.get_ident()}-{len(errors)}", password="!")
            written.append(1)
        except Exception as error:
            errors.append(repr(error))
    connection.close()


def judge():
    """Lets Django judge the database: system checks, migrations, and the rows through the ORM."""
    call_command("check", databases=["default"], fail_level="WARNING", stdout=StringIO())
    call_command("migrate", check_unapplied=True, stdout=StringIO())
    # One transaction: the writer adds users between two queries.
    with transaction.atomic():
        connection.check_constraints()
        assert len(User.objects.all()) == User.objects.count()
    return "sound"


call_command("migrate", verbosity=0)
writer = threading.Thread(target=write, daemon=True)
print("ready", flush=True)
for line in sys.stdin:
    command, _, name = line.strip().partition(" ")
    if command == "add":
        answer = User.objects.create(username=name, password="!").username
    elif command == "find":
        answer = "found" if User.objects.filter(username=name).exists() else "not found"
    elif command == "judge":
        answer = judge()
    elif command == "write":
        answer = writer.start() or "writing"
    elif command == "stop":
        stopped.set()
        writer.join()
        answer = "written without errors" if written and not errors else f"{len(written)} written; {errors[:1]}"
    print(answer, flush=True)
