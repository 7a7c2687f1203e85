"""Backups of the SQLite database of a FastAPI application on a platform that starts it itself, such as Posit Connect.

Copy this beside the application as backups.py, and `pip install` the wheel of heirloom (scripts/wheel/):

    from backups import lifespan, router
    app = FastAPI(lifespan=lifespan)
    app.include_router(router, prefix="/database", dependencies=[Depends(an_administrator)])

DATABASE_URL names the database. The store is HEIRLOOM_DIR: `connect:` is the pin that CONNECT_SERVER and CONNECT_USERNAME
name, with the key in CONNECT_API_KEY. Set HEIRLOOM_HOST: the host name changes with every deployment. One process only.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys

from fastapi import APIRouter, HTTPException

PATH = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", os.defpath)
HEIRLOOM = shutil.which("heirloom", path=PATH) or "heirloom"
# Exit codes of heirloom, and what they are over HTTP; 3 is done, with problems.
STATUS = {0: 200, 3: 200, 10: 404, 11: 409, 12: 404, 16: 503}


@contextlib.asynccontextmanager
async def lifespan(app):
    # If it is unknown whether there is a backup, the application must not begin an empty database: this raises then.
    subprocess.run([HEIRLOOM, "restore", "latest", "--if-missing", "--if-backup-exists"], check=True)
    beside = [HEIRLOOM, "run", "--beside", str(os.getpid()), "--every", "1h"]
    # A session of its own: Ctrl-C must not end it before the application. If this process is killed, it saves, too.
    backups = subprocess.Popen(beside, start_new_session=True)
    yield
    backups.terminate()
    backups.wait()


def heirloom(*words):
    ran = subprocess.run([HEIRLOOM, *words, "--json"], capture_output=True, text=True)
    if STATUS.get(ran.returncode, 500) != 200:
        raise HTTPException(STATUS.get(ran.returncode, 500), ran.stderr.strip())
    return json.loads(ran.stdout)


router = APIRouter()
router.add_api_route("/backup", lambda: heirloom("backup"), methods=["POST"])
router.add_api_route("/restore", lambda: heirloom("restore", "latest", "--force"), methods=["POST"])
router.add_api_route("/info", lambda: heirloom("show", "latest"), methods=["GET"])
router.add_api_route("/status", lambda: heirloom("status"), methods=["GET"])
