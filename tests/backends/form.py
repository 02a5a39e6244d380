"""An HTML form's other side, of Python's standard library: form.py PORT FILE."""
import json
import sys
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

FORM = '<!doctype html><title>Label</title><form method="post"><input name="id"><input name="label"><button>Send</button></form>'
known = set()


def fields(kind, body):
    """The fields of a body, decoded as the standard library decodes them."""
    if kind.startswith("multipart/form-data"):
        message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
        return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode() for part in message.iter_parts()}
    return {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True).items()}


class Form(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def page(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.page(200, FORM)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        row = fields(self.headers["Content-Type"], body)
        if row["label"] == "zebra":
            return self.page(422, "<!doctype html><title>Label</title><p>no zebras here</p>")
        if row["id"] not in known:
            with open(sys.argv[2], "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            known.add(row["id"])
        self.page(200, "<!doctype html><title>Label</title><p>Thank you for your label</p>")

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Form).serve_forever()
