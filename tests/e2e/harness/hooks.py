"""Functions that lifecycle hooks name, answered by the test itself."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .tasks import ROLE

SUCCEEDED = {"hookStatus": "SUCCEEDED"}


class Hooks:
    """A server of functions: what was said to them, and what they answer."""

    def __init__(self, directory: Path, *names: str):
        # By function; what answers each call of it, the last one for all that follow.
        self.answers: dict[str, list] = {}
        self.calls: list[tuple[str, dict]] = []
        self.lock = threading.Lock()
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
                body = json.dumps(hooks.call(self.path.strip("/"), payload)).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        urls = {name: {"url": f"http://127.0.0.1:{self.server.server_port}/{name}"} for name in names}
        self.file = directory / "functions.json"
        self.file.write_text(json.dumps({"functions": urls}))

    def call(self, name: str, payload: dict) -> dict:
        with self.lock:
            self.calls.append((name, payload))
            answers = self.answers.get(name) or [SUCCEEDED]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer(payload) if callable(answer) else answer

    def of(self, service_arn: str) -> list[dict]:
        """The payloads of one service's hooks, in order."""
        with self.lock:
            return [payload for _, payload in self.calls if payload["executionDetails"]["serviceArn"] == service_arn]

    def end(self) -> None:
        self.server.shutdown()


def function(account: str, name: str, *stages: str, **more) -> dict:
    """A hook of `lifecycleHooks`."""
    arn = f"arn:aws:lambda:us-east-1:{account}:function:{name}"
    return {"hookTargetArn": arn, "roleArn": ROLE, "lifecycleStages": list(stages)} | more


def pause(*stages: str, **more) -> dict:
    return {"targetType": "PAUSE", "lifecycleStages": list(stages)} | more
