"""Receives notices in a test: HTTP, and mail with TLS and sign-in. Appends what arrives to requests.jsonl in its folder.

    notice_sink.py FOLDER http            plain HTTP; writes its port into FOLDER/port
    notice_sink.py FOLDER smtps|starttls  mail, with FOLDER/cert.pem and FOLDER/key.pem

The first part of an HTTP path says how it answers: ok, 500, 401, slow, redirect; `mode` answers as the file FOLDER/mode says.
The signature of a webhook is checked here, by the words of the specification, with the secret in FOLDER/secret.
"""

import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import socket
import ssl
import sys
import threading
import time

folder = pathlib.Path(sys.argv[1])
lock = threading.Lock()


def record(entry):
    with lock, open(folder / "requests.jsonl", "a") as file:
        file.write(json.dumps(entry) + "\n")


def announce(port):
    partial = folder / "port.new"
    partial.write_text(str(port))
    partial.rename(folder / "port")


def is_signed(headers, body):
    secret = folder / "secret"
    if "webhook-signature" not in headers or not secret.exists():
        return None
    key = base64.b64decode(secret.read_text().strip().removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(f"v1,{expected}", one) for one in headers["webhook-signature"].split(" "))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        mode = self.path.split("/")[1].split("?")[0]
        if mode == "mode":
            mode = (folder / "mode").read_text().strip()
        record(
            {
                "path": self.path,
                "headers": headers,
                "body": body.decode(),
                "signed": is_signed(headers, body),
                "mode": mode,
            }
        )
        if mode == "slow":
            time.sleep(60)
        status = {"500": 500, "401": 401, "redirect": 307}.get(mode, 200)
        answer = f"answer {headers.get('authorization', '')}".encode()
        self.send_response(status)
        if mode == "redirect":
            self.send_header("location", "/ok/elsewhere")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def serve_http():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    announce(server.server_address[1])
    server.serve_forever()


def serve_mail(kind):
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def authenticate(server, session, envelope, mechanism, data):
        is_right = (data.login, data.password) == (b"ada@example.org", b"hunter2hunter2")
        return AuthResult(success=is_right, handled=False)

    class Sink:
        async def handle_DATA(self, server, session, envelope):
            record(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "mail": envelope.content.decode(),
                    "tls": session.ssl is not None or kind == "smtps",
                    "signed_in": session.authenticated,
                }
            )
            return "250 taken"

    options = {
        "authenticator": authenticate,
        "auth_required": True,
        # Behind TLS from the first byte, aiosmtpd sees none.
        "auth_require_tls": kind == "starttls",
    }
    if kind == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    else:
        options |= {"ssl_context": context}
    # aiosmtpd connects to the port that it was given, so that it cannot choose one.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(Sink(), hostname="127.0.0.1", port=port, **options)
    controller.start()
    announce(port)
    threading.Event().wait()


if sys.argv[2] == "http":
    serve_http()
else:
    serve_mail(sys.argv[2])
