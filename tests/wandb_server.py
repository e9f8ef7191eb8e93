"""As much of a W&B server as a run needs, to see what is sent to one."""

import gzip
import http.server
import json
import threading
from typing import Any


class Server(http.server.ThreadingHTTPServer):
    """Answers on a port of this machine, while it is entered.

    Attributes:
        url: Its address, for WANDB_BASE_URL.
        history: The rows of the history, without what wandb adds.
        files: Uploaded files by name.
        runs: What was asked for with each update of the run.
        paths: Every path that was asked for.
        silent: While this is set, nothing more is answered.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.history: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.runs: list[dict[str, Any]] = []
        self.paths: set[str] = set()
        self.silent = threading.Event()
        self.closed = threading.Event()

    @property
    def config(self) -> dict[str, Any]:
        """The config, as it was sent last."""
        sent = json.loads(next(run["config"] for run in reversed(self.runs) if run["config"]))
        return {name: entry["value"] for name, entry in sent.items() if not name.startswith("_")}

    def __enter__(self) -> "Server":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self._body() or b"{}")
        self._answer(self._graphql(body) if self.path == "/graphql" else self._stream(body))

    def do_PUT(self) -> None:
        self.server.files[self.path.removeprefix("/upload/")] = self._body()
        self._answer({})

    def _graphql(self, body: dict[str, Any]) -> dict[str, Any]:
        given = body["variables"]
        if "upsertBucket" in body["query"]:
            self.server.runs.append(given)
            project = {"id": "cA==", "name": given["project"], "entity": {"id": "ZQ==", "name": "me"}}
            run = {"id": "aWQ=", "name": given["name"], "displayName": given["displayName"], "config": "{}"}
            bucket = {**run, "historyLineCount": 0, "project": project}
            return {"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}}
        if "createRunFiles" in body["query"]:
            files = [
                {"name": name, "uploadUrl": f"{self.server.url}/upload/{name}"} for name in given["files"]
            ]
            return {"data": {"createRunFiles": {"runID": "aWQ=", "uploadHeaders": [], "files": files}}}
        return {"data": {}}

    def _stream(self, body: dict[str, Any]) -> dict[str, Any]:
        for line in body.get("files", {}).get("wandb-history.jsonl", {}).get("content", []):
            row = {name: value for name, value in json.loads(line).items() if not name.startswith("_")}
            self.server.history.append(row)
        return {}

    def _body(self) -> bytes:
        self.server.paths.add(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, content: dict[str, Any]) -> None:
        if self.server.silent.is_set():
            self.server.closed.wait()
            return
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
