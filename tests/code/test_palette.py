"""The book's colours: steps of grey, and apart for eyes that do not see all of them."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from gpt2_tutorial.figures import style

NAMES = ["BLACK", "BLUE", "VERMILLION", "PURPLE", "GREEN", "ORANGE", "SKY", "YELLOW", "PALE"]
PALETTE = {name: getattr(style, name) for name in NAMES}
# Machado, Oliveira and Fernandes (2009), severity 1: what linear red, green and blue become.
EYES = {
    "all three": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def linear(color: str) -> np.ndarray:
    channels = np.array(to_rgb(color))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIE L*a*b*: a distance of 2.3 can just be seen, and L* is how light a grey copy is."""
    x, y, z = np.cbrt((np.array(TO_XYZ) @ light) / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(color: str) -> float:
    return 1.05 / (np.array(TO_XYZ)[1] @ linear(color) + 0.05)


def test_every_colour_is_a_grey_of_its_own():
    greys = sorted(lab(linear(color))[0] for color in PALETTE.values())
    assert min(np.diff(greys)) > 2 * 2.3


@pytest.mark.parametrize("eyes", EYES)
def test_no_two_colours_look_alike(eyes):
    seen = {n: lab(np.clip(EYES[eyes] @ linear(c), 0, 1)) for n, c in PALETTE.items()}
    gaps = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in combinations(seen, 2)}
    assert min(gaps.values()) > 4 * 2.3, min(gaps, key=gaps.get)


@pytest.mark.parametrize("name", ["BLUE", "VERMILLION", "PURPLE", "GREEN", "ORANGE", "GREY"])
def test_letters_in_ink_of_a_colour_can_be_read_on_white(name):
    assert contrast(style.ink(getattr(style, name))) > 4.5


def test_numbers_can_be_read_on_the_darkest_tint_that_a_cell_has():
    for name in ("BLUE", "VERMILLION", "PURPLE", "GREEN"):
        light = contrast(style.BLACK) / contrast(style.tint(PALETTE[name], 0.56))
        assert light > 4.5, name
