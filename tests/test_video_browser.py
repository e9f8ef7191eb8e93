"""A recorded video in a browser, which plays it to its end."""

import functools
import http.server
import json
import queue
import shutil
import subprocess
import threading

import av
import pytest

from lerax_cli.app import run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PAGE = b"""<!doctype html><video muted autoplay></video><script>
const video = document.querySelector("video");
const tell = what => fetch("/told", {method: "POST", body: JSON.stringify({
  what, codecs: video.canPlayType('video/mp4; codecs="avc1.64001f"'), time: video.currentTime,
  duration: video.duration, width: video.videoWidth, height: video.videoHeight,
  error: video.error && video.error.message})});
video.onended = () => tell("ended");
video.onerror = () => tell("error");
video.src = "/video.mp4";
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the page and the video, and takes what the page tells."""

    def __init__(self, video, told, *arguments):
        self.video, self.told = video, told
        super().__init__(*arguments)

    def do_GET(self):
        kind, body = ("video/mp4", self.video) if self.path == "/video.mp4" else ("text/html", PAGE)
        self.send_response(200 if self.path in ("/", "/video.mp4") else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
@pytest.mark.parametrize("size", [(640, 480), (321, 241)])
def test_a_browser_plays_a_recording_to_its_end(tmp_path, size):
    path, told = tmp_path / "video.mp4", queue.Queue()
    options = (
        f"record-video CartPole-v1 --seed 0 --steps 25 -q -o {path} --width {size[0]} --height {size[1]}"
    )
    assert run(options.split()) == 0
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, path.read_bytes(), told)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
    command = [CHROMIUM, *flags.split(), "--autoplay-policy=no-user-gesture-required"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"http://127.0.0.1:{server.server_port}/"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    browser = subprocess.Popen(command, **quiet)
    try:
        page = told.get(timeout=120)
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
        server.server_close()
    if not page["codecs"]:
        pytest.skip("this chromium plays no H.264")
    assert page["what"] == "ended", page["error"]
    with av.open(str(path)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert page["time"] == page["duration"] == pytest.approx(frames / 50, abs=1e-3)
    assert (page["width"], page["height"]) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
