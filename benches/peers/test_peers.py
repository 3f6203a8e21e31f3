"""`python3 -m unittest discover benches/peers`: comparison, processes and figures, without any peer."""

import json
import math
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
from compare import difference  # noqa: E402
from peers import TOLERANCE, figures
from process import Failure, Process
from table import added, means

SERVE = """
import sys
print("chatter")
print('peer: {"device": "a device", "first_ms": 1.5}', flush=True)
for line in sys.stdin:
    if line == "13\\n":
        sys.exit("thirteen is unlucky")
    print("peer:", [2.0] * int(line), flush=True)
"""


class Comparison(unittest.TestCase):
    def test_what_differs_fails(self):
        expected = [0.5, -2.0, 1.0]
        self.assertLessEqual(difference([0.5, -2.001, 1.0], expected), TOLERANCE)
        wrong = {
            "one wrong value": [0.5, -2.0, 1.01],
            "two swapped": [-2.0, 0.5, 1.0],
            "not a number": [0.5, math.nan, 1.0],
            "infinite": [0.5, -math.inf, 1.0],
            "too short": [0.5, -2.0],
        }
        for name, output in wrong.items():
            self.assertGreater(difference(output, expected), TOLERANCE, name)

    def test_small_outputs_are_compared_too(self):
        self.assertGreater(difference([1e-5, 2e-5], [1e-5, 3e-5]), TOLERANCE)
        self.assertEqual(difference([0.0, 0.0], [0.0, 0.0]), math.inf)


class Processes(unittest.TestCase):
    def test_a_program_answers_and_its_end_has_a_reason(self):
        process = Process([sys.executable, "-c", SERVE], {})
        self.assertEqual((process.device, process.first_ms), ("a device", 1.5))
        self.assertEqual(process.time(3), [2.0, 2.0, 2.0])
        with self.assertRaisesRegex(Failure, "thirteen is unlucky"):
            process.time(13)
        process.end()

    def test_a_program_that_does_not_start_is_a_failure(self):
        with self.assertRaisesRegex(Failure, "cannot be started"):
            Process(["/no/such/program"], {})
        with self.assertRaisesRegex(Failure, "no such model"):
            Process([sys.executable, "-c", "raise SystemExit('no such model')"], {})


class Figures(unittest.TestCase):
    def test_ratios_are_of_rounds_side_by_side(self):
        macula = [[1.0, 1.0], [10.0], [2.0]]
        theirs = [[2.0], [20.0, 20.0], [40.0]]
        row = figures(theirs, macula)
        self.assertEqual((row["min_ms"], row["median_ms"], row["runs"]), (2.0, 20.0, 4))
        self.assertEqual(row["macula_by_this"], 0.5)
        self.assertNotIn("macula_by_this", figures(theirs, macula[:2]))

    def test_means_are_geometric_and_leave_failures_out(self):
        rows = lambda ratio: {"macula": {"macula_by_this": 1.0}, "ncnn": {"macula_by_this": ratio}, "wonnx": {"error": "no"}}
        [(name, (mean, count))] = means({"a": rows(0.5), "b": rows(2.0)}).items()
        self.assertEqual((name, count), ("ncnn", 2))
        self.assertAlmostEqual(mean, 1.0)

    def test_results_are_added_to_those_of_other_models_and_engines(self):
        about = {"date": "today", "versions": {"macula": "2", "burn": "1"}}
        results = {"a": {"macula": {"min_ms": 2}, "burn": {"min_ms": 3}}}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.md"
            self.assertEqual(added(path, about, results), (about, results))
            old = {"a": {"macula": {"min_ms": 9}, "ncnn": {"min_ms": 8}}, "b": {"ncnn": {"min_ms": 7}}}
            path.with_suffix(".json").write_text(json.dumps({"about": {"versions": {"macula": "1", "ncnn": "5"}}, "models": old}))
            about, results = added(path, about, results)
        self.assertEqual(about, {"date": "today", "versions": {"macula": "2", "ncnn": "5", "burn": "1"}})
        self.assertEqual(results, {"a": {"macula": {"min_ms": 2}, "ncnn": {"min_ms": 8}, "burn": {"min_ms": 3}}, "b": {"ncnn": {"min_ms": 7}}})


if __name__ == "__main__":
    unittest.main()
