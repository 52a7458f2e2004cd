"""Boxes [x1, y1, x2, y2] in pixels: from a network's outputs, compared, suppressed."""
import numpy as np

from patches import patched

STRIDE = 4


def tensor(session, rgb):
    """What the network takes, from [h, w, 3] uint8."""
    return patched(rgb) if "uint8" in session.get_inputs()[0].type else rgb.transpose(2, 0, 1)[None].astype(np.float32)


def decode(session, name, rgb, least):
    """Every cell of score `least` or more of a CenterFace-like network as [n, 5]; `rgb` [h, w, 3] uint8 is padded with black to multiples of 32."""
    h, w = rgb.shape[:2]
    padded = np.zeros((-(-h // 32) * 32, -(-w // 32) * 32, 3), np.uint8)
    padded[:h, :w] = rgb
    heat, size, offset = session.run(None, {name: tensor(session, padded)})[:3]
    y, x = np.nonzero(heat[0, 0] >= least)
    bh, bw = (np.exp(size[0, c, y, x]) * STRIDE for c in (0, 1))
    cy, cx = (y + offset[0, 0, y, x] + 0.5) * STRIDE, (x + offset[0, 1, y, x] + 0.5) * STRIDE
    return np.stack([cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2, heat[0, 0, y, x]], 1).astype(np.float32)


def iou(a, b):
    """Pairwise intersection over union, [len(a), len(b)]."""
    a, b = np.asarray(a, np.float32).reshape(-1, 4), np.asarray(b, np.float32).reshape(-1, 4)
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(2)
    area = [(r[:, 2:] - r[:, :2]).prod(1) for r in (a, b)]
    return inter / (area[0][:, None] + area[1][None] - inter + 1e-9)


def suppress(faces, limit, most=4000):
    """Non-maximum suppression of [n, 5], best first; only the `most` best are looked at."""
    faces = faces[np.argsort(-faces[:, 4], kind="stable")[:most]]
    keep = []
    while len(faces):
        keep.append(faces[0])
        faces = faces[1:][iou(faces[:1, :4], faces[1:, :4])[0] <= limit] if len(faces) > 1 else faces[1:]
    return np.array(keep, np.float32).reshape(-1, 5)
