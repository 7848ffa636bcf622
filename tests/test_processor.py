"""Switches that follow from what the processor has, and from nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hmr import processor
from hmr.configs.from_scratch import get_config
from hmr.errors import UserError
from hmr.training.devices import check_precision

AVX2 = "fpu sse sse2 fma avx avx2 f16c"
AVX512 = f"{AVX2} avx512f avx512bw avx512_bf16"


@pytest.fixture
def on(monkeypatch, tmp_path):
    """Makes this a processor with the given flags; None for a system without /proc/cpuinfo."""

    def become(flags: str | None) -> None:
        path = tmp_path / "cpuinfo"
        if flags is not None:
            path.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
        monkeypatch.setattr(processor, "_CPUINFO", path)
        monkeypatch.delenv(processor.ONEDNN, raising=False)
        processor.features.cache_clear()

    yield become
    processor.features.cache_clear()


@pytest.mark.parametrize(
    ("flags", "expected"), [(AVX2, "1"), (AVX512, None), ("fpu sse2", None), (None, None)]
)
def test_onednn_is_switched_on_where_there_is_avx2_alone(on, flags, expected):
    on(flags)
    processor.choose_switches()
    assert os.environ.get(processor.ONEDNN) == expected
    os.environ.pop(processor.ONEDNN, None)


@pytest.mark.parametrize(
    ("flags", "expected"), [(AVX2, "None 1 False"), (AVX512, "None None False")]
)
def test_a_training_sets_it_before_tensorflow_is_there_and_a_prediction_does_not(
    tmp_path, flags, expected
):
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    code = (
        "import os, pathlib, sys\n"
        "from hmr import processor\n"
        f"processor._CPUINFO = pathlib.Path({str(tmp_path / 'cpuinfo')!r})\n"
        "import hmr.cli.predict, hmr.cli.train\n"
        "before = os.environ.get(processor.ONEDNN)\n"
        "import hmr.training\n"
        "print(before, os.environ.get(processor.ONEDNN), 'tensorflow' in sys.modules)"
    )
    environment = {key: each for key, each in os.environ.items() if key != processor.ONEDNN}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == expected


def test_the_report_says_what_a_training_will_choose(on):
    on(AVX2)
    assert "oneDNN on in training, where it is faster with AVX2 alone" in processor.describe()
    on(AVX512)
    assert "oneDNN on, as TensorFlow chooses with AVX-512; " in processor.describe()
    on("fpu sse2")
    assert "oneDNN as TensorFlow chooses;" in processor.describe()


@pytest.mark.parametrize(
    ("value", "said", "left"),
    [
        ("0", "oneDNN off, since", "0"), ("False", "oneDNN off, since", "False"),
        ("true", "oneDNN on, since", "true"), ("", "oneDNN on in training", "1"),
        ("yes", "oneDNN on in training", "1"),
    ],
)  # fmt: skip
def test_values_count_as_tensorflow_reads_them(on, monkeypatch, value, said, left):
    on(AVX2)
    monkeypatch.setenv(processor.ONEDNN, value)
    assert said in processor.describe()
    processor.choose_switches()
    assert os.environ[processor.ONEDNN] == left


def test_what_the_user_has_set_stays(on, monkeypatch):
    on(AVX2)
    monkeypatch.setenv(processor.ONEDNN, "0")
    processor.choose_switches()
    assert os.environ[processor.ONEDNN] == "0"
    said = "avx2; oneDNN off, since TF_ENABLE_ONEDNN_OPTS=0; "
    assert processor.describe().startswith(said)


def test_bfloat16_is_refused_where_it_would_be_emulated(on):
    on(AVX2)
    with pytest.raises(UserError, match=r"--config\.precision=float32"):
        check_precision("mixed_bfloat16")
    check_precision(get_config().precision)
    for flags in (AVX512, f"{AVX2} avx512f amx_bf16", None):
        on(flags)
        check_precision("mixed_bfloat16")
