"""Makes a container in Azurite: azure_container.py PORT NAME KEY. Succeeds if it is there."""
import base64, hashlib, hmac, sys, urllib.error, urllib.request
from email.utils import formatdate

port, name, key = sys.argv[1:]
account = "devstoreaccount1"
path = f"/{account}/{name}"
headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2022-11-02"}
canonical = "".join(f"{header}:{value}\n" for header, value in sorted(headers.items()))
text = "PUT\n" + "\n" * 11 + canonical + f"/{account}{path}\nrestype:container"
signature = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()
headers["Authorization"] = f"SharedKey {account}:{signature}"
request = urllib.request.Request(f"http://127.0.0.1:{port}{path}?restype=container", method="PUT", headers=headers)
try:
    urllib.request.urlopen(request, timeout=10)
except urllib.error.HTTPError as error:
    sys.exit(error.code != 409)
