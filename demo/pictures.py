"""Draws the shop's product pictures, so that there is something to make thumbnails of."""

import colorsys
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE = (1600, 1200)


def draw(title: str, dice: random.Random) -> Image.Image:
    """A product on a lit backdrop: its shape and colours are the dice's, its name is on it."""
    hue = dice.random()
    backdrop = Image.composite(
        Image.new("RGB", SIZE, _colour(hue, 0.10, 0.98)),
        Image.new("RGB", SIZE, _colour(hue, 0.35, 0.72)),
        Image.radial_gradient("L").resize(SIZE).point(lambda light: 255 - light),
    )
    pen = ImageDraw.Draw(backdrop)
    left, top = dice.randint(360, 480), dice.randint(180, 300)
    right, bottom = SIZE[0] - left, SIZE[1] - 320
    pen.ellipse((left, bottom - 40, right, bottom + 60), fill=_colour(hue, 0.40, 0.55))
    backdrop = backdrop.filter(ImageFilter.GaussianBlur(12))  # the shadow is soft, the rest is not
    pen = ImageDraw.Draw(backdrop)
    body = _colour(hue + dice.uniform(0.3, 0.7), 0.6, 0.8)
    corner = dice.choice((16, 80, 200))
    pen.rounded_rectangle((left, top, right, bottom), corner, fill=body)
    shine = _colour(hue + 0.5, 0.2, 1.0)
    pen.rounded_rectangle((left + 40, top + 40, left + 90, bottom - 40), 25, fill=shine)
    font = ImageFont.load_default(72)
    pen.text((SIZE[0] / 2, SIZE[1] - 140), title, _colour(hue, 0.8, 0.25), font, anchor="mm")
    # A sensor's grain: a flat drawing would be packed into next to nothing.
    grain = Image.effect_noise(SIZE, 24).convert("RGB")
    return Image.blend(backdrop, grain, 0.06)


def drop(
    folder: Path, name: str, title: str, *, cut_off: bool = False, seed: int | None = None
) -> Path:
    """Put the picture *name* (``.jpg``) into *folder*: whole, or *cut_off* as a broken upload."""
    part = folder / f"{name}.part"
    draw(title, random.Random(seed)).save(part, "JPEG", quality=85)
    if cut_off:
        whole = part.read_bytes()
        part.write_bytes(whole[: len(whole) // 3])
    return part.replace(folder / name)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)
