"""The photos that ranges of a network's numbers are read off."""
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".avif", ".webp")
# What a picture is brought to for that, in pixels.
SIZE = (640, 448)


def photos(folder):
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES)


def enlarged(picture, rng):
    """A part of it, half to a quarter of its sides, anywhere, that fills SIZE."""
    part = rng.choice([2, 3, 4])
    w, h = picture.width // part, picture.height // part
    x, y = rng.randrange(picture.width - w + 1), rng.randrange(picture.height - h + 1)
    scale = min(SIZE[0] / w, SIZE[1] / h)
    return picture.crop((x, y, x + w, y + h)).resize((int(w * scale), int(h * scale)), Image.BICUBIC)
