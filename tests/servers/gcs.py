"""Google Cloud Storage, as far as we use it: the JSON API with resumable uploads, and with the preconditions that the
usual emulator ignores. Keeps everything in memory: gcs.py PORT

After https://cloud.google.com/storage/docs/json_api/v1 and .../performing-resumable-uploads.
"""
import base64, hashlib, json, re, sys, threading, time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

buckets, sessions, lock = {}, {}, threading.Lock()


def error(status, message, reason):
    return status, {"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}}


def described(bucket, name, found):
    return {"kind": "storage#object", "bucket": bucket, "name": name, "size": str(len(found["data"])),
            "generation": str(found["generation"]), "etag": f"etag{found['generation']}", "metadata": found["metadata"],
            "md5Hash": base64.b64encode(hashlib.md5(found["data"]).digest()).decode(), "updated": found["updated"]}


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=None, headers=()):
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_request(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with lock:
            self.answer(*self.route(self.command, url.path, query, body))

    do_GET = do_POST = do_PUT = do_DELETE = handle_request

    def route(self, method, path, query, body):
        if method == "POST" and path == "/storage/v1/b":
            buckets.setdefault(json.loads(body)["name"], {})
            return 200, {"kind": "storage#bucket"}
        if path.startswith("/upload/session/"):
            return self.session(method, path.rsplit("/", 1)[1], body)
        parts = re.fullmatch(r"(/upload)?/storage/v1/b/([^/]+)/o(?:/(.+))?", path)
        if not parts:
            return error(404, "Not Found", "notFound")
        bucket, name = buckets.get(parts[2]), parts[3] and unquote(parts[3])
        if bucket is None:
            return error(404, "The specified bucket does not exist.", "notFound")
        if parts[1] and query.get("uploadType") == "resumable":
            return self.start(parts[2], query, body)
        if parts[1]:
            return 200, self.store(parts[2], query["name"], body, {})
        if name is None:
            return self.list(parts[2], query)
        found = bucket.get(name)
        if found is None:
            return error(404, f"No such object: {parts[2]}/{name}", "notFound")
        if query.get("ifGenerationMatch", str(found["generation"])) != str(found["generation"]):
            return error(412, "At least one of the pre-conditions you specified did not hold.", "conditionNotMet")
        if method == "DELETE":
            del bucket[name]
            return 204,
        if query.get("alt") == "media":
            return self.media(found)
        return 200, described(parts[2], name, found)

    def media(self, found):
        data, headers = found["data"], [("x-goog-generation", str(found["generation"]))]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")
        if not wanted:
            return 200, data, headers
        start, end = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        if start > end:
            return error(416, "The requested range cannot be satisfied.", "requestedRangeNotSatisfiable")
        return 206, data[start:end + 1], headers + [("content-range", f"bytes {start}-{end}/{len(data)}")]

    def list(self, bucket, query):
        prefix, most = query.get("prefix", ""), int(query.get("maxResults", 1000))
        names = sorted(name for name in buckets[bucket] if name.startswith(prefix) and name > query.get("pageToken", ""))
        deeper = [name for name in names if query.get("delimiter", "\0") in name[len(prefix):]]
        names = [name for name in names if name not in deeper]
        answer = {"kind": "storage#objects",
                  "items": [described(bucket, name, buckets[bucket][name]) for name in names[:most]]}
        if names[most:]:
            answer["nextPageToken"] = names[most - 1]
        return 200, answer

    def start(self, bucket, query, body):
        key = hashlib.sha256(f"{time.time_ns()}{len(sessions)}".encode()).hexdigest()
        metadata = json.loads(body or b"{}").get("metadata", {})
        sessions[key] = {"bucket": bucket, "name": query["name"], "metadata": metadata, "data": b"", "done": None,
                         "match": query.get("ifGenerationMatch")}
        if self.taken(sessions[key]):
            return error(412, "At least one of the pre-conditions you specified did not hold.", "conditionNotMet")
        return 200, None, [("location", f"http://{self.headers['host']}/upload/session/{key}")]

    def taken(self, session):
        found = buckets[session["bucket"]].get(session["name"])
        return session["match"] is not None and session["match"] != str(found["generation"] if found else 0)

    def session(self, method, key, body):
        session = sessions.get(key)
        if session is None:
            return error(404, "Not Found", "notFound")
        if method == "DELETE":
            del sessions[key]
            return 499, None
        if session["done"]:
            return 200, session["done"]
        sent = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", self.headers["content-range"])
        if sent[1] is not None:
            if int(sent[1]) > len(session["data"]):
                return error(503, "the range does not follow", "backendError")
            session["data"] = session["data"][:int(sent[1])] + body
        if sent[2] == "*" or int(sent[2]) > len(session["data"]):
            kept = len(session["data"])
            return 308, None, [("range", f"bytes=0-{kept - 1}")] if kept else []
        if self.taken(session):
            return error(412, "At least one of the pre-conditions you specified did not hold.", "conditionNotMet")
        session["done"] = self.store(session["bucket"], session["name"], session["data"], session["metadata"])
        return 200, session["done"]

    def store(self, bucket, name, data, metadata):
        made = {"data": data, "metadata": metadata, "generation": time.time_ns(),
                "updated": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")}
        buckets[bucket][name] = made
        return described(bucket, name, made)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
