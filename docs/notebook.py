"""Makes docs/notebook.png: what cells of examples/notebook.ipynb show, on a light page and on a dark one."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from notebooks import executed  # noqa: E402

SIZE = 700, 830  # pixels of each page
THEMES = {"light": ("#ffffff", "#1c1e21"), "dark": ("#111111", "#e3e5e8")}
STYLE = "margin:0;padding:20px;font:14px/1.5 system-ui,sans-serif"
BROWSERS = "chromium", "chromium-browser", "google-chrome"
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars"
FLAGS += " --virtual-time-budget=5000"  # until the videos are there


def main() -> None:
    """Runs the notebook, and has a browser draw what it shows."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("there is no chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cells = executed(HERE.parent / "examples" / "notebook.ipynb", folder)
        data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
        body = "<br>".join("".join(one["text/html"]) for one in data if "text/html" in one)
        pictures = [_drawn(browser, theme, body, folder) for theme in THEMES]
    both = Image.new("RGB", (2 * SIZE[0], SIZE[1]))
    for number, picture in enumerate(pictures):
        both.paste(picture, (number * SIZE[0], 0))
    both.quantize(128).save(HERE / "notebook.png", optimize=True)


def _drawn(browser: str, theme: str, body: str, folder: Path) -> Image.Image:
    page, shot = folder / f"{theme}.html", folder / f"{theme}.png"
    background, ink = THEMES[theme]
    style = f"{STYLE};background:{background};color:{ink};color-scheme:{theme}"
    page.write_text(f'<!DOCTYPE html><meta charset="utf-8"><body style="{style}">{body}', "utf-8")
    options = [f"--user-data-dir={folder / 'profile'}", "--window-size={},{}".format(*SIZE)]
    command = [browser, *FLAGS.split(), *options, f"--screenshot={shot}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(shot) as picture:
        return picture.convert("RGB")


if __name__ == "__main__":
    main()
