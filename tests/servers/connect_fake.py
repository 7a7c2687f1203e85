#!/usr/bin/env python3
"""A Posit Connect server, as far as pins need it: connect_fake.py FILE [--no-ranges]

It writes its port into FILE. tests/library/remotes/connect/ holds it against the `pins` client of PyPI. It refuses what the real one refuses: a wrong key, a
bundle that is cut or no bundle, a name that is taken, the removal of the active version, and the files of a version that was
never deployed. `POST /control` with {"faults": [...]} plans faults and returns the requests since the last time; "clock" puts the
clock of the server ahead by so many seconds. A fault is
{"path": a pattern of "METHOD /path", "times", "skip": how many such requests go well before, "status" and "body", or "drop": the
connection ends; "after": the request is carried out before}.
"""
import io
import itertools
import json
import os
import re
import sys
import tarfile
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

KEYS = {"alice-key": "alice", "bob-key": "bob"}
USERS = {name: f"00000000-0000-0000-0000-00000000000{number}" for number, name in enumerate(["alice", "bob", "alicent"], 1)}
RANGES = "--no-ranges" not in sys.argv

lock = threading.RLock()
content, bundles, tasks, faults, requests, ahead = {}, {}, {}, [], [], [0]
# The id of an item that was removed is never that of another one.
numbers = itertools.count(1)


class Refused(Exception):
    def __init__(self, status, code, error):
        super().__init__(error)
        self.status, self.body = status, {"code": code, "error": error, "payload": None}


def missing():
    return Refused(404, 4, "The requested object does not exist.")


def now():
    return (datetime.now(timezone.utc) + timedelta(seconds=ahead[0])).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Connect(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", kind="application/json", headers=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if body:
            self.send_header("Content-Type", kind)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        path = unquote(urlsplit(self.path).path)
        self.query = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        if len(self.body) < length:
            self.close_connection = True
            return
        if path == "/control":
            with lock:
                plan = json.loads(self.body)
                faults[:] = plan["faults"]
                ahead[:] = [plan.get("clock", 0)]
                seen = list(requests)
                requests.clear()
            return self.reply(200, seen)
        with lock:
            requests.append(f"{self.command} {path}")
            fault = next((fault for fault in faults if self.is_meant(fault, path)), None)
            if fault:
                fault["times"] -= 1
        if fault and not fault.get("after"):
            return self.fail(fault)
        try:
            with lock:
                self.user = self.signed_in()
                answer = self.route(self.command, path)
        except Refused as refused:
            answer = (refused.status, refused.body)
        if fault:
            return self.fail(fault)
        self.reply(*answer)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any

    def is_meant(self, fault, path):
        if fault["times"] == 0 or not re.search(fault["path"], f"{self.command} {path}"):
            return False
        fault["skip"] = fault.get("skip", 0) - 1
        return fault["skip"] < 0

    def fail(self, fault):
        if fault.get("sleep"):
            time.sleep(fault["sleep"])
        if fault.get("drop"):
            self.close_connection = True
            self.connection.close()
            return
        self.reply(fault["status"], fault.get("body", "").encode(), "text/html", [("Connection", "keep-alive")])

    def signed_in(self):
        scheme, _, key = (self.headers.get("Authorization") or "").partition(" ")
        if scheme != "Key" or key not in KEYS:
            raise Refused(401, 30, "We couldn't log you in with the provided credentials. Please ask your administrator.")
        return KEYS[key]

    def route(self, method, path):
        for wanted, pattern, action in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and wanted == method:
                return action(self, *match.groups())
        if path.startswith("/__api__/"):
            raise Refused(404, 3, "No such endpoint.")
        return 404, b"<html>not found</html>", "text/html"

    def own(self, guid):
        """Returns an item that the user may change."""
        if guid not in content:
            raise missing()
        if content[guid]["owner_guid"] != USERS[self.user]:
            raise Refused(403, 19, "You don't have permission to access this item.")
        return content[guid]

    def get_self(self):
        return 200, {"guid": USERS[self.user], "username": self.user}

    def get_users(self):
        page = int(self.query.get("page_number", 1))
        found = [{"guid": guid, "username": name} for name, guid in USERS.items() if name.startswith(self.query["prefix"])]
        # One to a page; the page after the last one is empty.
        return 200, {"results": found[page - 1:page], "current_page": page, "total": len(found)}

    def get_content(self):
        wanted = {name: self.query[name] for name in ("owner_guid", "name") if name in self.query}
        found = [item for item in content.values() if all(item[name] == value for name, value in wanted.items())]
        return 200, [item for item in found if item["owner_guid"] == USERS[self.user]]

    def get_item(self, guid):
        return 200, self.own(guid)

    def post_content(self):
        given = json.loads(self.body)
        if not re.fullmatch(r"[A-Za-z0-9_-]{3,64}", given.get("name", "")):
            raise Refused(400, 7, "The content name must be between 3 and 64 alphanumeric characters, dashes, and underscores.")
        if given.get("access_type") not in ("all", "logged_in", "acl"):
            raise Refused(400, 7, "The access type is not valid.")
        for item in content.values():
            if item["owner_guid"] == USERS[self.user] and item["name"] == given["name"]:
                raise Refused(409, 26, "An object with that name already exists.")
        guid = f"11111111-0000-0000-0000-{next(numbers):012}"
        content[guid] = {
            "guid": guid, "name": given["name"], "title": given.get("title"), "description": given.get("description", ""),
            "owner_guid": USERS[self.user], "owner_username": self.user, "access_type": given["access_type"],
            "created_time": now(), "bundle_id": None, "app_mode": "unknown", "content_category": "",
        }
        return 200, content[guid]

    def patch_item(self, guid):
        given = json.loads(self.body)
        self.own(guid).update({name: given[name] for name in ("title", "description", "access_type") if name in given})
        return 200, content[guid]

    def delete_item(self, guid):
        self.own(guid)
        del content[guid]
        for bundle in [bundle for bundle in bundles.values() if bundle["content_guid"] == guid]:
            del bundles[bundle["id"]]
        return 204, b""

    def shown(self, bundle):
        is_active = content[bundle["content_guid"]]["bundle_id"] == bundle["id"]
        shown = ("id", "content_guid", "created_time", "size")
        return {**{name: bundle[name] for name in shown}, "active": is_active, "metadata": {}}

    def get_bundles(self, guid):
        self.own(guid)
        newest_first = sorted((bundle for bundle in bundles.values() if bundle["content_guid"] == guid),
                              key=lambda bundle: -int(bundle["id"]))
        return 200, [self.shown(bundle) for bundle in newest_first]

    def bundle(self, guid, number):
        self.own(guid)
        bundle = bundles.get(number)
        if not bundle or bundle["content_guid"] != guid:
            raise missing()
        return bundle

    def get_bundle(self, guid, number):
        return 200, self.shown(self.bundle(guid, number))

    def post_bundle(self, guid):
        self.own(guid)
        try:
            with tarfile.open(fileobj=io.BytesIO(self.body), mode="r:gz") as tar:
                files = {member.name.removeprefix("./"): tar.extractfile(member).read() for member in tar if member.isfile()}
            manifest = json.loads(files["manifest.json"])
            metadata = manifest["metadata"]
            is_valid = manifest["version"] == 1 and metadata["appmode"] == "static" and metadata["primary_html"] in files
        except (tarfile.TarError, EOFError, KeyError, ValueError, OSError):
            is_valid = False
        if not is_valid:
            raise Refused(400, 6, "The bundle is not valid.")
        number = str(max([0, *map(int, bundles)]) + 1)
        bundles[number] = {"id": number, "content_guid": guid, "created_time": now(), "size": len(self.body), "files": files,
                           "category": metadata.get("content_category", ""), "deployed": False}
        return 200, self.shown(bundles[number])

    def delete_bundle(self, guid, number):
        self.bundle(guid, number)
        if content[guid]["bundle_id"] == number:
            raise Refused(409, 75, "The bundle is active and cannot be deleted.")
        del bundles[number]
        return 204, b""

    def post_deploy(self, guid):
        item = self.own(guid)
        number = (json.loads(self.body or b"{}") or {}).get("bundle_id")
        bundle = self.bundle(guid, number)
        bundle["deployed"] = True
        item.update(bundle_id=number, app_mode="static", content_category=bundle["category"])
        task = f"task{len(tasks) + 1}"
        tasks[task] = 0
        return 202, {"task_id": task}

    def get_task(self, task):
        if task not in tasks:
            raise missing()
        tasks[task] += 1
        is_finished = tasks[task] > 1
        return 200, {"id": task, "output": ["building"], "result": None, "finished": is_finished, "code": 0, "error": "",
                     "last": tasks[task]}

    def get_file(self, guid, number, name):
        if guid not in content or content[guid]["owner_guid"] != USERS[self.user]:
            return 404, b"<html>not found</html>", "text/html"
        bundle = bundles.get(number)
        if not bundle or bundle["content_guid"] != guid or not bundle["deployed"] or name not in bundle["files"]:
            return 404, b"<html>not found</html>", "text/html"
        body = bundle["files"][name]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if not wanted or not RANGES:
            return 200, body, "application/octet-stream"
        start, end = int(wanted[1]), min(int(wanted[2]), len(body) - 1)
        if start > end:
            return 416, b"", "text/plain", [("Content-Range", f"bytes */{len(body)}")]
        head = [("Content-Range", f"bytes {start}-{end}/{len(body)}"), ("Accept-Ranges", "bytes")]
        return 206, body[start:end + 1], "application/octet-stream", head

    def get_applications(self):
        pins = [item for item in content.values() if item["content_category"] == "pin"]
        own = [item for item in pins if item["owner_guid"] == USERS[self.user]]
        return 200, {"applications": own, "count": len(own), "total": len(own), "continuation": None}

    def get_ping(self):
        return 200, {}


V1, ITEM = "/__api__/v1", "([0-9a-f-]{36})"
ROUTES = [
    ("GET", "/__ping__", Connect.get_ping),
    ("GET", f"{V1}/user", Connect.get_self),
    ("GET", f"{V1}/users", Connect.get_users),
    ("GET", f"{V1}/content", Connect.get_content),
    ("POST", f"{V1}/content", Connect.post_content),
    ("GET", f"{V1}/content/{ITEM}", Connect.get_item),
    ("PATCH", f"{V1}/content/{ITEM}", Connect.patch_item),
    ("DELETE", f"{V1}/content/{ITEM}", Connect.delete_item),
    ("GET", f"{V1}/content/{ITEM}/bundles", Connect.get_bundles),
    ("POST", f"{V1}/content/{ITEM}/bundles", Connect.post_bundle),
    ("GET", f"{V1}/content/{ITEM}/bundles/([^/]+)", Connect.get_bundle),
    ("DELETE", f"{V1}/content/{ITEM}/bundles/([^/]+)", Connect.delete_bundle),
    ("POST", f"{V1}/content/{ITEM}/deploy", Connect.post_deploy),
    ("GET", f"{V1}/tasks/(\\w+)", Connect.get_task),
    ("GET", f"/content/{ITEM}/_rev(\\d+)/(.+)", Connect.get_file),
    ("GET", "/__api__/applications", Connect.get_applications),
]

if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Connect)
    # Under another name first: a reader sees a whole number or nothing.
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(str(server.server_port))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    server.serve_forever()
