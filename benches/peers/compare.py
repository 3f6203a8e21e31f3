"""Whether two outputs are the same."""

import math


def difference(output, expected):
    """The largest difference by the largest expected element; infinite where lengths differ or an element is not a number."""
    if len(output) != len(expected) or not all(map(math.isfinite, output)):
        return math.inf
    return max(abs(a - b) for a, b in zip(output, expected)) / max(map(abs, expected))
