"""Takes pictures of pages in headless Chromium."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from dev.errors import DevError

MISSING = "no Chromium is on PATH; install it, on Debian and Ubuntu with: apt-get install chromium"
# Chromium must reach no other machine, whatever the page holds; and it has no sandbox for root, as
# which CI runs.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
)
_TIMEOUT = 120.0


class BrowserError(DevError):
    """No picture could be taken; the message says why and what to do."""


def find() -> str | None:
    """Return the Chromium on PATH, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def picture(page: Path, image: Path, *, width: int, height: int, dark: bool = False) -> None:
    """Write a PNG of the top of a page, of this many pixels.

    Raises:
        BrowserError: Chromium is missing, or it fails.
    """
    chromium = find()
    if chromium is None:
        raise BrowserError(MISSING)
    # 0 is dark (chromium: third_party/blink/public/common/css/preferred_color_scheme.h).
    scheme = 0 if dark else 1
    image.unlink(missing_ok=True)
    reason = ""
    with tempfile.TemporaryDirectory() as profile:
        try:
            subprocess.run(
                [
                    chromium,
                    *FLAGS,
                    f"--user-data-dir={profile}",
                    f"--blink-settings=preferredColorScheme={scheme}",
                    f"--window-size={width},{height}",
                    f"--screenshot={image.absolute()}",
                    page.absolute().as_uri(),
                ],
                check=True,
                capture_output=True,
                timeout=_TIMEOUT,
            )
        except subprocess.SubprocessError as error:
            reason = f": {error}"
    if reason or not image.is_file():
        message = f"{chromium} took no picture of {page}; open the page in it by hand{reason}"
        raise BrowserError(message)
