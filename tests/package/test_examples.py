"""Each example runs in a fresh interpreter, with warnings as errors, and says what it should."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import kept_programs
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
DEADLINE = 1200  # seconds; a hang is a failure, a slow machine is not

# Runs a script as `python script.py` would, without some modules and with Ctrl-C as on a terminal
# (a process started in the background may have been told to ignore it).
RUNNER = """
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
missing, *sys.argv = sys.argv[1:]
sys.modules.update(dict.fromkeys(missing.split()))
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def command(name, *arguments, missing=""):
    script = str(EXAMPLES / name)
    return [sys.executable, "-X", "utf8", "-W", "error", "-c", RUNNER, missing, script, *arguments]


def run(name, *arguments, missing=""):
    return subprocess.run(
        command(name, *arguments, missing=missing),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=DEADLINE,
        env=kept_programs.ENVIRONMENT | os.environ,
    )


def output(name, *arguments, missing=""):
    done = run(name, *arguments, missing=missing)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested():
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'output("{path.name}"' in text for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_shape(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert f"python examples/{path.name}" in text.split('"""')[1]
    assert "\ndef main() -> None:" in text
    assert "assert " in text
    assert len(text.splitlines()) <= 200


def test_fit_with_callbacks():
    out = output("fit_with_callbacks.py", missing="tqdm matplotlib pandas chex hypothesis")
    assert out.count("steps, stopped by converged") == 4
    equal = [float(d) for d in re.findall(r"^ +b\d .* ([\d.]+)$", out, re.MULTILINE)]
    assert len(equal) == 2 * (2 + 7)
    assert min(equal) >= 6
    assert out.count("####") >= 4  # the plots
    lanes = re.findall(r"^  (\d+) of 64 stopped by converged$", out, re.MULTILINE)
    assert len(lanes) == 2 and min(map(int, lanes)) > 32
    least, most = zip(*re.findall(r"steps: (\d+) at the least, .* (\d+) most", out), strict=True)
    assert all(int(a) < int(b) for a, b in zip(least, most, strict=True))
    assert out.endswith("1 step, stopped by terminate_on_nonfinite\n")


@pytest.mark.slow
def test_streaming_statistics():
    out = output("streaming_statistics.py")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[2:6]}
    assert rows["mean"][0] == rows["mean"][1] == rows["mean"][2] == "299.8524"
    assert float(rows["std"][3]) > 13.5
    assert float(rows["autocorrelation"][3]) > 13
    assert rows["corr"][0][:8] == "0.535338"


def test_sweep():
    out = output("sweep.py", missing="tqdm matplotlib pandas chex hypothesis")
    assert re.search(r"^ +5642\.71 +\d{3}  certified by NIST$", out, re.MULTILINE)
    assert len(re.findall(r"^ +\d+(?:\.\d+)? +\d+$", out, re.MULTILINE)) >= 5  # other minima
    assert float(re.findall(r"vmap computes \d+, ([\d.]+) times that", out)[0]) > 5


def test_functional_pipeline():
    lines = output("functional_pipeline.py").splitlines()
    seen = dict(re.split(r": +", line, maxsplit=1) for line in lines)
    stages = [re.sub(r"\(.*?\)", "", seen[name]) for name in ("the pipe", "turned around")]
    assert stages == ["log >> standard >> line >> mean_square", "standard_inverse >> log_inverse"]
    assert "line(intercept=0, slope=0)" in seen["the pipe"]
    compiled = [line for line in lines if line.startswith("in the compiled: ")]
    assert ["log/log" in compiled[0], "mean_square/square" in compiled[3]] == [True, True]
    assert seen["traced"].startswith("1 time,")
    assert float(seen["Kepler's exponent"].split(",")[0]) == pytest.approx(1.5, abs=3e-3)
    predicted, year = map(int, re.findall(r"\d+", seen["Pluto's year"]))
    assert predicted == pytest.approx(year, rel=0.01) and year == 90560


def test_implicit():
    out = output("implicit.py", missing="tqdm matplotlib pandas optax chex hypothesis")
    stored = dict(re.findall(r"^gradient (\w+)\b.*, (\d+) kB", out, re.MULTILINE))
    assert 20 * int(stored["implicit"]) < int(stored["unrolled"])
    assert "stopped by early_stopping" in out
    none, one, each = map(float, re.findall(r"(\d\.\d\d\d)$", out, re.MULTILINE))
    assert each < 1.3 < 2 < one < none


def test_chains():
    out = output("chains.py", missing="tqdm matplotlib pandas optax chex hypothesis")
    draws, steps = map(
        int, re.findall(r"^stopped by enough after (\d+) draws, (\d+) steps", out)[0]
    )
    assert 100 < draws < 2000 and steps == 20 * draws
    rhat, ess = map(float, re.findall(r"R-hat ([\d.]+), ESS (\d+), of the worst", out)[0])
    assert rhat < 1.01 and ess >= 400
    known = dict(re.findall(r"^(mu|tau) .*? (\d\.\d{3}) +\d\.\d{4} +\d+$", out, re.MULTILINE))
    assert float(known["mu"]) == pytest.approx(4.40, abs=0.01)
    assert float(known["tau"]) == pytest.approx(3.60, abs=0.01)


def test_lesson():
    lines = output("lesson.py").splitlines()
    seen = {}
    for line in lines:
        name, *columns = re.split(r"  +", line.strip())
        if len(columns) == 2 and name != "what was said":
            assert columns[0] == columns[1]
            seen[name] = columns[0]
    assert seen["function"] == seen["lambda"] == "0 1 2 3 4"
    assert seen["closure"] == seen["partial"] == seen["callable class"] == "1 2 3 4 5"
    assert seen["before and after"] == "0 0 0 1 1 1 2 2 5 3 3 14 4 4 30"
    assert seen["early stopping"] == "0 1 5 14"
    assert seen["changing the state"] == "0 1 6 15"
    assert seen["1 + 2 + 2 + 2"] == "7.0300"
    values = [seen[name] for name in ("mean", "var", "std", "mean_abs_dev")]
    assert values == ["6.2500", "47.1875", "6.8693", "5.8750"]
    assert len(seen) == 15


@pytest.mark.slow
def test_train_digits(tmp_path):
    curve = tmp_path / "curve.png"
    out = output("train_digits.py", "--curve", str(curve))
    assert f"learning curve: {curve}\n" in out
    assert curve.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and curve.stat().st_size > 10_000
    assert "stopped by early_stopping" in out.splitlines()[0]
    assert 97 <= float(re.findall(r"^best after epoch \d+: ([\d.]+) %", out, re.MULTILINE)[0])
    lanes = re.findall(r"^ +([\d.]+) +(\d+) .* ([\d.]+) % (\w+)$", out, re.MULTILINE)
    assert len(lanes) == 16 and len({epochs for _, epochs, _, _ in lanes}) >= 4
    assert max(float(right) for _, _, right, _ in lanes) >= 97
    assert {reason for _, _, _, reason in lanes} >= {"early_stopping", "diverged"}


@pytest.mark.parametrize("module", ["optax", "matplotlib", "sklearn"])
def test_train_digits_names_what_is_missing(module):
    done = run("train_digits.py", missing=module)
    assert done.returncode == 1
    cure = ": pip install optax matplotlib scikit-learn\n"
    assert done.stderr.startswith(f"missing {module}") and done.stderr.endswith(cure)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_lr_finder():
    out = output("lr_finder.py", missing="matplotlib optax sklearn tqdm chex hypothesis")
    assert out.count("<- suggested") == 1
    suggested = re.findall(r"^8 networks suggest (.*);$", out, re.MULTILINE)[0].split(", ")
    assert len(suggested) == 8 and all(0.1 < float(rate) < 3 for rate in suggested)
    ends = re.findall(r"^(suggested.*?) +[\d.]+: ([\d.]+) to ([\d.]+)$", out, re.MULTILINE)
    assert [name for name, _, _ in ends] == ["suggested / 30", "suggested", "suggested x 30"]
    (below, _), (_, at), (above, _) = ((float(a), float(b)) for _, a, b in ends)
    assert 3 * at < min(below, above)


@pytest.mark.slow
def test_scan_callbacks():
    pytest.importorskip("optax", reason="scan_callbacks.py needs optax")
    out = output("scan_callbacks.py")
    assert re.search(r"stopped by early_stopping after \d+: ", out)
    lanes = re.findall(r"^\S+ +(\d+)  (early_stopping|max_steps) ", out, re.MULTILINE)
    assert len(lanes) == 8 and ("1000", "max_steps") in lanes


def test_beam_accumulators():
    out = output("beam_accumulators.py", missing="tqdm matplotlib pandas chex hypothesis")
    assert re.findall(r"^(\w+): -?\d+\.\d ± [01]\.\d\d, 1\d\d of 500$", out, re.MULTILINE) == [
        *("Cairo", "Oslo", "Quito")
    ]


@pytest.mark.slow
def test_property_tests():
    out = output("property_tests.py", missing="tqdm matplotlib optax sklearn")
    assert "first_try, usual_test: passes\nfirst_try, test_spread: fails\n" in out
    assert "fails translation, permutation, bounds, gradient, poison; repetition left out" in out
    assert out.count("  repro, with the smallest input found:\n") == 5
    assert out.endswith("winsorized_std, test_transforms: passes\n")


@pytest.mark.slow
def test_checkpoint():
    pytest.importorskip("orbax.checkpoint", reason="checkpoint.py needs orbax-checkpoint")
    out = output("checkpoint.py")
    assert "the first process ended with 9" in out
    assert "restored the run as it was after 20000 steps" in out
    assert out.endswith("Same bits as a run that nobody disturbed: True\n")


@pytest.mark.slow
def test_stopping_lanes(tmp_path):
    picture = tmp_path / "lanes.png"
    out = output("stopping_lanes.py", "--to", str(picture))
    assert "64 of 64 lanes stopped by themselves" in out and "drawn to lanes.png" in out
    least, most = map(int, re.findall(r"after (\d+) ... (\d+) steps", out)[0])
    assert most > 2 * least
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 50_000


def test_records(tmp_path):
    lines, curve = tmp_path / "run.jsonl", tmp_path / "run.png"
    out = output("records.py", "--to", str(lines), "--curve", str(curve))
    assert out.count("lines more\n") == 6 and "1 batch left out" in out
    first, *_, last = (json.loads(line) for line in lines.read_text().splitlines())
    assert first["step"] == 1 and last["step"] == 299 and set(last) == {"step", "loss", "rate"}
    assert curve.read_bytes().startswith(b"\x89PNG") and curve.stat().st_size > 10_000


@pytest.mark.slow
def test_dataset_statistics():
    for module in ("distributed", "pyarrow", "tqdm"):
        pytest.importorskip(module, reason=f"dataset_statistics.py needs {module}")
    out = output("dataset_statistics.py")
    assert "One process, a pool of two and a Dask cluster found the same bits.\n" in out
    lines = [line.split() for line in out.splitlines()]
    means, correlations = ({k: list(map(float, v)) for k, *v in lines[i : i + 4]} for i in (3, 8))
    assert means.keys() == correlations.keys() == {"height", "weight", "income", "noise"}
    assert means["height"][:2] == pytest.approx([170, 10], rel=1e-3)
    assert means["noise"][2:] == sorted(means["noise"][2:])
    assert correlations["weight"] == pytest.approx([0.8, 1, 0, 0.6], abs=0.01)
    assert re.search(r"^Parquet: .* 0\.41\d\d .* 5 row groups$", out, re.MULTILINE)


def test_normalisation():
    out = output("normalisation.py", missing="tqdm matplotlib pandas chex hypothesis")
    assert re.search(r"^before: log_loads >> quantile_clip\(.*\) \(unfitted\) >> stand", out, re.M)
    assert "after:  log_loads >> quantile_clip >> standardize\n" in out
    assert len(re.findall(r"^killed after \d+ files more", out, re.MULTILINE)) == 2
    again, whole = map(int, re.findall(r"the last run folded (\d+) files of (\d+)", out)[0])
    assert again < whole // 3 and whole == 400
    assert "Same bits as an uninterrupted fit: True\n" in out
    assert "loaded without data: True\n" in out
    rows = re.findall(r"^(?:angle|speed|load|battery) .* ([\d.e-]+)$", out, re.MULTILINE)
    assert len(rows) == 4 and max(map(float, rows)) < 0.15


@pytest.mark.parametrize(
    ("name", "module", "cure"),
    [
        ("progress.py", "tqdm", "pip install tqdm"),
        ("scan_callbacks.py", "optax", "pip install optax"),
        ("checkpoint.py", "orbax", "pip install orbax-checkpoint"),
        ("property_tests.py", "hypothesis", "pip install hypothesis"),
        ("dataset_statistics.py", "pyarrow", "pip install tqdm pyarrow distributed"),
    ],
)
def test_what_is_missing_is_named(name, module, cure):
    done = run(name, missing=module)
    assert done.returncode == 1
    assert cure in done.stderr and "Traceback" not in done.stderr


def test_progress_to_the_end():
    out = output("progress.py", "--steps", "3000")
    assert "3000 steps, planet at" in out
    assert "Stopped" not in out


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_progress_survives_ctrl_c():
    loop = subprocess.Popen(
        command("progress.py", "--steps", "2_000_000_000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert loop.stdout is not None and loop.stderr is not None
    shown, said = [], []
    readers = [
        threading.Thread(target=read_all, args=(loop.stderr, shown), daemon=True),
        threading.Thread(target=read_all, args=(loop.stdout, said), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        wait_until(lambda: re.search(r" [1-9][\d.]*[kMG]?/2\.00G", "".join(shown)), loop)
        loop.send_signal(signal.SIGINT)
        assert loop.wait(DEADLINE) == 0, "".join(shown)
    finally:
        loop.kill()
        loop.wait()
        for reader in readers:
            reader.join(10)
        loop.stdout.close()
        loop.stderr.close()
    out = "".join(said)
    assert "Stopped by Ctrl-C at" in out
    reached, went_on = (int(n) for n in re.findall(r"^(\d+) steps, planet at", out, re.MULTILINE))
    assert 0 < reached < went_on == reached + 100_000
    assert out.endswith("Same bits as the uninterrupted run: True\n")


def read_all(stream, into):
    while text := stream.read(1):
        into.append(text)


def wait_until(holds, process):
    until = time.monotonic() + DEADLINE
    while not holds():
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.05)
