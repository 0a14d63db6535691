"""A real browser: it draws a page, and says what is wrong with what it drew."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
DARK = "--blink-settings=preferredColorScheme=0"

# Each page sits in a frame of the width of a screen; a script beside them, which may look into them, measures.
_MEASURE = """
const channels = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (colour) => {
  const [r, g, b] = colour.slice(0, 3).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
function measure(frame) {
  const page = frame.contentDocument, view = frame.contentWindow, width = frame.clientWidth;
  const found = {
    name: frame.title, width, scrolled: page.documentElement.scrollWidth, outside: [], faint: [], small: [],
    scheme: view.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
    ground: view.getComputedStyle(page.body).backgroundColor,
  };
  for (const element of page.body.querySelectorAll("*")) {
    const style = view.getComputedStyle(element), box = element.getBoundingClientRect();
    if (element.classList.contains("hidden")) continue;
    if (box.right > width + 0.5 || box.left < -0.5) found.outside.push(element.outerHTML.slice(0, 120));
    const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!words) continue;
    let behind = element;
    while (channels(view.getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const a = light(channels(style.color)), b = light(channels(view.getComputedStyle(behind).backgroundColor));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.faint.push([contrast.toFixed(2), element.outerHTML.slice(0, 120)]);
    if (parseFloat(style.fontSize) < 12) found.small.push(element.outerHTML.slice(0, 120));
  }
  return found;
}
window.addEventListener("load", () => {
  const result = [...document.querySelectorAll("iframe")].map(measure);
  document.querySelector("pre").textContent = JSON.stringify(result);
});
"""


def chromium() -> str:
    """Return the browser; `.ci/components` sees to it that there is one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    message = "no Chromium is on this machine; `make test` installs it, or says how"
    raise AssertionError(message)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the browser once, with a profile of its own."""
    profile = f"--user-data-dir={folder / 'profile'}"
    return subprocess.run(
        [chromium(), *FLAGS, profile, *arguments], capture_output=True, text=True, timeout=90, check=True
    )


def measured(folder: Path, pages: dict[str, str], widths: tuple[int, ...], *flags: str) -> list[dict[str, Any]]:
    """Return what the browser measured on each page at each width."""
    frames = "".join(
        f'<iframe title="{name}" style="border:0;width:{width}px;height:800px" srcdoc="{escape(html)}"></iframe>'
        for name, html in pages.items()
        for width in widths
    )
    document = folder / "measure.html"
    document.write_text(f"<!doctype html><meta charset=utf-8><pre></pre>{frames}<script>{_MEASURE}</script>")
    dumped = run(folder, *flags, "--virtual-time-budget=5000", "--dump-dom", document.as_uri()).stdout
    found = re.search(r"<pre>(.*?)</pre>", dumped, re.DOTALL)
    assert found, dumped[:2000]
    result: list[dict[str, Any]] = json.loads(unescape(found[1]))
    return result


def screenshot(folder: Path, url: str, width: int, height: int, *flags: str) -> bytes:
    """Return a picture of a page, as PNG."""
    picture = folder / "picture.png"
    run(folder, *flags, f"--window-size={width},{height}", f"--screenshot={picture}", url)
    return picture.read_bytes()
