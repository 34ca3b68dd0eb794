"""Pictures: found in the inbox, cut down to thumbnails, put away, bound into a catalogue.

All of it lies in MEDIA_ROOT: ``inbox/`` (drop pictures here), ``originals/``, ``thumbnails/``,
``catalogue.pdf``.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from PIL import Image, ImageOps, UnidentifiedImageError

SIZES = {"large": 1200, "medium": 640, "small": 240}  # the longer side, in pixels


class BadPicture(ValueError):
    """No second try can help: the file is missing, or no picture can be read from it."""


def folder(name: str) -> Path:
    """The folder *name* of MEDIA_ROOT, made if need be."""
    path = Path(settings.MEDIA_ROOT) / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def waiting_pictures() -> Iterator[tuple[str, str]]:
    """The files in the inbox, oldest first: name, and an id that a changed file does not share.

    Names with a leading dot or a ``.part`` ending are still being written and are left alone.
    """
    found = []
    for path in folder("inbox").iterdir():
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".part":
            stat = path.stat()
            digest = hashlib.sha256(f"{path.name}:{stat.st_mtime_ns}:{stat.st_size}".encode())
            found.append((stat.st_mtime_ns, path.name, digest.hexdigest()[:16]))
    for _, name, digest in sorted(found):
        yield name, digest


def make_thumbnails(name: str, progress: Callable[[int], None]) -> list[dict[str, Any]]:
    """Make all thumbnails of the picture *name* and put the original away.

    *progress* is called with percent. It may be run again after any crash: a thumbnail appears
    whole or not at all, and an original that was put away already is found there.

    Raises:
        BadPicture: the name leads out of the inbox, or the file is missing, cut off or no picture.
    """
    if Path(name).name != name:
        raise BadPicture(f"{name!r} is not the name of a file in the inbox")
    source = next(
        (path for path in (folder("inbox") / name, folder("originals") / name) if path.exists()),
        None,
    )
    if source is None:
        raise BadPicture(f"{name!r} is not in the inbox")
    try:
        with Image.open(source) as picture:
            picture.load()
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise BadPicture(f"{name!r} cannot be read as a picture: {error}") from error
    progress(20)
    made = []
    for done, (label, pixels) in enumerate(SIZES.items(), start=1):
        thumbnail = upright.copy()
        thumbnail.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
        target = folder("thumbnails") / f"{Path(name).stem}-{label}.webp"
        part = target.with_suffix(f".{os.getpid()}.part")
        thumbnail.save(part, "WEBP", quality=80)
        part.replace(target)
        made.append(
            {"file": target.name, "width": thumbnail.width, "height": thumbnail.height}
            | {"bytes": target.stat().st_size}
        )
        progress(20 + 75 * done // len(SIZES))
    if source.parent.name == "inbox":
        shutil.move(source, folder("originals") / name)
    progress(100)
    return made


def make_catalogue(pages: int, progress: Callable[[int], None]) -> dict[str, Any]:
    """Bind the newest *pages* pictures into ``catalogue.pdf``, one a page.

    *progress* is called with percent, page by page.

    Raises:
        FileNotFoundError: there is no thumbnail yet.
    """
    newest = sorted(
        folder("thumbnails").glob("*-large.webp"),
        key=lambda path: path.stat().st_mtime_ns,
        reverse=True,
    )[:pages]
    if not newest:
        raise FileNotFoundError("there are no pictures to bind yet")
    target = folder("thumbnails").parent / "catalogue.pdf"
    part = target.with_suffix(f".{os.getpid()}.part")

    def bound() -> Iterator[Image.Image]:
        for number, path in enumerate(newest):
            progress(100 * number // len(newest))
            with Image.open(path) as picture:
                yield picture.convert("RGB")

    sheets = bound()
    next(sheets).save(part, "PDF", save_all=True, append_images=sheets, resolution=150)
    part.replace(target)
    progress(100)
    return {"file": target.name, "pages": len(newest), "bytes": target.stat().st_size}


def tidy(path: Path, keep: int) -> int:
    """Delete all but the newest *keep* files of the folder *path*; return how many went."""
    if not path.is_dir():
        return 0
    files = sorted(
        (file for file in path.iterdir() if file.is_file()),
        key=lambda file: file.stat().st_mtime_ns,
        reverse=True,
    )
    for file in files[keep:]:
        file.unlink(missing_ok=True)
    return max(0, len(files) - keep)
