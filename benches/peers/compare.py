"""Whether two outputs are the same."""

import math


def difference(output, expected):
    """The largest difference by the largest expected element; infinite where lengths differ, an element is not
    finite, or nothing but zeros is expected, which proves nothing."""
    if len(output) != len(expected) or not all(map(math.isfinite, output)) or not any(expected):
        return math.inf
    return max(abs(a - b) for a, b in zip(output, expected)) / max(map(abs, expected))
