"""Pictures: thumbnails of what lies in the inbox, whole or not at all, safe to run again."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from demo import pictures
from demo.file_processing import services


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def inbox() -> Path:
    return services.folder("inbox")


def run(name: str) -> tuple[list[dict[str, Any]], list[int]]:
    percents: list[int] = []
    return services.make_thumbnails(name, percents.append), percents


def test_thumbnails_fit_their_sizes_and_progress_rises(inbox: Path, tmp_path: Path) -> None:
    pictures.drop(inbox, "lamp.jpg", "Lamp")
    with Image.open(inbox / "lamp.jpg") as picture:
        width, height = picture.size
    made, percents = run("lamp.jpg")
    assert [max(one["width"], one["height"]) for one in made] == [1200, 640, 240]
    for one in made:
        with Image.open(tmp_path / "thumbnails" / one["file"]) as thumbnail:
            assert thumbnail.format == "WEBP"
            assert thumbnail.size == (one["width"], one["height"])
            assert abs(one["width"] / one["height"] - width / height) < 0.01
        assert one["bytes"] == (tmp_path / "thumbnails" / one["file"]).stat().st_size
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert not list(inbox.iterdir())
    assert (tmp_path / "originals" / "lamp.jpg").exists()


def test_it_may_be_run_again_after_the_original_was_put_away(inbox: Path) -> None:
    pictures.drop(inbox, "lamp.jpg", "Lamp")
    first, _ = run("lamp.jpg")
    again, _ = run("lamp.jpg")
    assert again == first


def test_picture_taken_sideways_is_turned_upright(inbox: Path) -> None:
    picture = Image.new("RGB", (300, 100), "navy")
    exif = picture.getexif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees
    picture.save(inbox / "side.jpg", exif=exif)
    made, _ = run("side.jpg")
    assert made[-1]["height"] > made[-1]["width"]


@pytest.mark.parametrize("size", ["RGBA", "P", "L", "CMYK"])
def test_other_colour_modes(size: str, inbox: Path) -> None:
    Image.new(size, (500, 400)).save(inbox / "odd.tiff")
    made, _ = run("odd.tiff")
    assert len(made) == 3


def test_cut_off_picture_is_named_and_stays_in_the_inbox(inbox: Path, tmp_path: Path) -> None:
    pictures.drop(inbox, "broken.jpg", "Broken", cut_off=True)
    with pytest.raises(services.BadPicture, match=r"'broken.jpg' cannot be read as a picture"):
        run("broken.jpg")
    assert (inbox / "broken.jpg").exists()
    assert not list(tmp_path.glob("thumbnails/*"))


def test_file_that_is_no_picture(inbox: Path) -> None:
    (inbox / "notes.txt").write_text("hello")
    with pytest.raises(services.BadPicture, match="cannot identify image file"):
        run("notes.txt")


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a/b.jpg", "", ".."])
def test_names_that_lead_out_of_the_inbox(name: str, inbox: Path) -> None:
    with pytest.raises(services.BadPicture):
        run(name)


def test_waiting_pictures_leaves_unfinished_ones_alone_and_knows_a_changed_one(
    inbox: Path,
) -> None:
    pictures.drop(inbox, "a.jpg", "A")
    (inbox / "b.jpg.part").write_bytes(b"")
    (inbox / ".c.jpg").write_bytes(b"")
    ((name, first),) = services.waiting_pictures()
    assert name == "a.jpg"
    assert list(services.waiting_pictures()) == [(name, first)]
    pictures.drop(inbox, "a.jpg", "Another")
    ((_, second),) = services.waiting_pictures()
    assert second != first


def test_catalogue_has_a_page_for_each_of_the_newest_pictures(inbox: Path, tmp_path: Path) -> None:
    percents: list[int] = []
    with pytest.raises(FileNotFoundError, match="no pictures to bind yet"):
        services.make_catalogue(2, percents.append)
    for name in ("a", "b", "c"):
        pictures.drop(inbox, f"{name}.jpg", name)
        run(f"{name}.jpg")
    made = services.make_catalogue(2, percents.append)
    content = (tmp_path / made["file"]).read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page\n") == made["pages"] == 2
    assert made["bytes"] == len(content)
    assert percents == [0, 50, 100]


def test_tidy_keeps_the_newest(inbox: Path) -> None:
    import os

    for number in range(5):
        path = inbox / f"{number}.jpg"
        path.touch()
        os.utime(path, (number, number))
    assert services.tidy(inbox, keep=2) == 3
    assert sorted(path.name for path in inbox.iterdir()) == ["3.jpg", "4.jpg"]
    assert services.tidy(inbox, keep=2) == 0
    assert services.tidy(inbox / "none", keep=2) == 0
