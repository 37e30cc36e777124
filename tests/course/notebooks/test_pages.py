"""Formulas: what the notebooks use is converted, and what cannot be converted stays readable."""

import xml.etree.ElementTree as ElementTree

import pytest

from lib.course.notebooks.pages import mathml, unconverted_formulas

FORMULAS = [
    r"d(x, y) = 1 - \cos\theta",
    r"\hat{x} = \frac{x}{\lVert x \rVert_2}",
    (
        r"\mathcal{L} = -\frac{1}{N} \sum_{i=1}^N \log \frac{e^{s_{ii} / \tau}}{\sum_j e^{s_{ij} /"
        r" \tau}}"
    ),
    r"\log \mathbb{E}_{x, y}\left[ e^{-2 \lVert x - y \rVert^2} \right]",
    r"\operatorname*{arg\,max}_{j} \; q^\top g_j",
    r"\mathrm{R@}k = \frac{1}{|Q|} \sum_{q \in Q} \mathbf{1}[\mathrm{rank}_q \le k]",
    r"1 - \binom{n - r}{k} / \binom{n}{k}",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_converts_to_well_formed_mathml(formula):
    text = mathml(formula, "block")
    assert ElementTree.fromstring(text).tag.endswith("math")
    assert "\\" not in text


def test_aligned_equations():
    text = mathml(r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "block")
    assert text.count("<mtr>") == 2


def test_what_cannot_be_converted_is_shown_as_source_and_found():
    assert (
        mathml(r"\nothing{a < b}", "inline") == r'<code class="formula">\nothing{a &lt; b}</code>'
    )
    text = (
        "Costs \\$5 and `$x$`.\n\n$a < b$, $\\nothing{x}$\n\n$$\\left("
        " x$$\n\n```\n$\\never{y}$\n```\n"
    )
    assert unconverted_formulas(text)[:1] == [r"\nothing{x}"]
