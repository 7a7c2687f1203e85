#!/usr/bin/env python3
"""The client of Posit for pins: pins_client.py SERVER KEY ACTION ARGUMENT... Prints JSON."""
import hashlib
import json
import sys

import pins
from pins.errors import PinsError
from pins.rsconnect.api import RsConnectApiError

server, key, action, *arguments = sys.argv[1:]
board = pins.board_connect(server_url=server, api_key=key)


def upload(pin, *files):
    board.pin_upload(list(files) if len(files) > 1 else files[0], name=pin)


def upload_as_list(pin, file):
    board.pin_upload([file], name=pin)


def download(pin, version=None):
    def digest(path):
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    return {path.rsplit("/", 1)[1]: digest(path) for path in map(str, board.pin_download(pin, version=version))}


def meta(pin, version=None):
    found = board.pin_meta(pin, version=version)
    return {"file": found.file, "file_size": found.file_size, "type": found.type, "created": str(found.created),
            "title": found.title, "user": found.user, "api_version": found.api_version}


actions = {
    "upload": upload, "upload_as_list": upload_as_list, "download": download, "meta": meta, "list": board.pin_list,
    "versions": lambda pin: [found.version for found in board.pin_versions(pin, as_df=False)],
    "prune": lambda pin, count: board.pin_versions_prune(pin, n=int(count)),
    "delete_version": board.pin_version_delete, "delete": board.pin_delete,
}
try:
    print(json.dumps(actions[action](*arguments)))
except (PinsError, RsConnectApiError) as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
