"""The authors' checkpoints, in made values, through the verb."""

import gzip
import sys
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from hmr.body.model_file import load_body, require_faces, save_body
from hmr.cli import convert_checkpoint as verb
from hmr.errors import UserError
from hmr.network.checkpoint import load_model
from hmr.network.hmr import HMR
from hmr.original import tf1_names
from hmr.original.convert import NetworkParts, adam_steps, read_body
from hmr.original.release import Release, is_release, open_release
from hmr.original.tf1_checkpoint import IMAGENET, TRAINING
from hmr.training.start import load_start
from tests.helpers import smpl_files, tf1_files
from tests.helpers.golden_inputs import made_body


@pytest.fixture(scope="module")
def values():
    return tf1_files.inference_values()


@pytest.fixture(scope="module")
def prefix(tmp_path_factory, values):
    return tf1_files.write_checkpoint(tmp_path_factory.mktemp("tf1") / "model.ckpt-7", values)


@pytest.fixture(scope="module")
def converted(prefix, tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted") / "hmr"
    assert _run("--input", prefix, "--output", folder) == 0
    return folder


def _run(*flags):
    return verb.main([str(flag) for flag in flags])


def test_the_rules_give_the_released_checkpoints_names(values):
    """283 for inference, 832 in training, 840 with the scalars of the authors' run."""
    assert len(values) == 283
    training = tf1_names.expected_shapes(NetworkParts.of(TRAINING).mappings, with_adam=True)
    scalars = 5  # the step and two powers for each Adam
    assert len(training) + len(tf1_names.BODY_SHAPES) + scalars == 832
    assert 832 + len(tf1_names.RUN_SETTINGS) == 840
    for name, shape in {
        "resnet_v2_50/block3/unit_6/bottleneck_v2/conv2/BatchNorm/moving_variance": (256,),
        "resnet_v2_50/block2/unit_1/bottleneck_v2/shortcut/biases": (512,),
        "resnet_v2_50/postnorm/gamma/Adam_1": (2048,),
        "3D_module/fc1/weights": (2133, 1024),
        "mean_param/Adam": (1, 85),
        "D/pose_out_j22/weights": (32, 1),
        "D/D_conv1/weights/Adam": (1, 1, 9, 32),
        "D/shape_fc1/shape_fc1_2/biases": (5,),
    }.items():
        assert training[name] == shape
    assert "resnet_v2_50/postnorm/moving_mean/Adam" not in training


def test_weights_and_body_arrive(converted, values):
    model = load_model(converted, with_discriminator=True)
    sources = [*tf1_names.map_encoder(model.encoder), *tf1_names.map_regressor(model.regressor)]
    for source in sources:
        np.testing.assert_array_equal(source.variable, values[source.names[0]])
    for source in tf1_names.map_discriminator(model.discriminator):
        np.testing.assert_array_equal(source.variable, source.value(values))
    body, expected = load_body(converted / "body.npz"), made_body()
    for key in ("v_template", "shapedirs", "posedirs", "joint_regressor", "cocoplus_regressor"):
        np.testing.assert_array_equal(getattr(body, key), getattr(expected, key))


def test_the_converted_folder_is_all_that_prediction_needs(converted, tmp_path):
    moved = tmp_path / "moved"
    moved.symlink_to(converted)
    outputs = load_model(moved)(np.zeros((1, 224, 224, 3), np.float32), vertices=True)
    assert np.isfinite(outputs["vertices"]).all()


def test_a_body_without_faces_says_what_to_do(converted):
    with pytest.raises(UserError, match=r"--body models/smpl_neutral\.npz"):
        require_faces(load_body(converted / "body.npz"))


def test_faces_come_from_a_body_file(prefix, tmp_path):
    save_body(tmp_path / "smpl.npz", made_body())
    _run(
        "--input", f"{prefix}.index", "--output", tmp_path / "out", "--body", tmp_path / "smpl.npz"
    )
    body = load_body(tmp_path / "out" / "body.npz")
    np.testing.assert_array_equal(require_faces(body), made_body().faces)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean_param": None}, "1 missing: mean_param"),
        ({"posedirs": None}, "1 missing: posedirs"),
        ({"resnet_v2_50/extra/weights": np.zeros(3)}, "1 unknown: resnet_v2_50/extra/weights"),
        (
            {"3D_module/fc3/weights": np.zeros((1024, 86), np.float32)},
            r"1 of another shape: 3D_module/fc3/weights \(1024, 86\) instead of \(1024, 85\)",
        ),
        ({"3D_module/fc3/biases": np.full(85, np.nan, np.float32)}, "fc3/biases .* not finite"),
    ],
)
def test_anything_else_is_refused_and_nothing_is_written(values, tmp_path, change, message):
    changed = {name: value for name, value in {**values, **change}.items() if value is not None}
    prefix = tf1_files.write_checkpoint(tmp_path / "model.ckpt", changed)
    (tmp_path / "models").mkdir()
    with pytest.raises(UserError, match=message):
        _run("--input", prefix, "--output", tmp_path / "models" / "hmr")
    assert list((tmp_path / "models").iterdir()) == []


def test_missing_files_are_named(prefix, tmp_path):
    with pytest.raises(UserError, match="index is missing"):
        _run("--input", tmp_path / "model.ckpt", "--output", tmp_path / "out")
    index = tmp_path / "model.ckpt-7.index"
    index.write_bytes((prefix.parent / f"{prefix.name}.index").read_bytes())
    with pytest.raises(UserError, match="data-00000-of-00001"):
        _run("--input", index, "--output", tmp_path / "out")
    (tmp_path / "model.ckpt-7.data-00000-of-00001").write_bytes(b"cut short")
    with pytest.raises(UserError, match="cut short"):
        _run("--input", index, "--output", tmp_path / "out")


@pytest.mark.parametrize("name", ["model.ckpt", "model.ckpt.index", "weights.h5"])
def test_a_file_that_is_none_is_told_before_the_network_is_imported(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("# A page\n")
    (tmp_path / "model.ckpt.data-00000-of-00001").write_text("")
    monkeypatch.setitem(sys.modules, "hmr.original.convert", None)
    with pytest.raises(
        UserError, match=f"{name} is not a (TF1 checkpoint|file of Keras's weights)"
    ):
        _run("--input", tmp_path / name, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_left_alone(prefix, converted):
    with pytest.raises(UserError, match="exists already"):
        _run("--input", prefix, "--output", converted)


def test_training_state_of_an_inference_checkpoint_is_refused(prefix, tmp_path):
    with pytest.raises(UserError, match="HMR for inference"):
        _run("--input", prefix, "--output", tmp_path / "out", "--training")


def _pack(archive, *files, folder="models/"):
    """An archive as the authors': the files of a checkpoint and others in one folder."""
    with tarfile.open(archive, "w:gz", compresslevel=0) as packed:
        for file in files:
            packed.add(file, f"{folder}{file.name}")
    return archive


@pytest.fixture(scope="module")
def release(prefix, tmp_path_factory):
    """models.tar.gz, with a SMPL pickle, and further files that do not count."""
    folder = tmp_path_factory.mktemp("release")
    with smpl_files.fake_chumpy() as classes:
        smpl = smpl_files.with_chumpy(smpl_files.smpl_dict(coco=True), classes)
        smpl = smpl_files.write_python2_pickle(folder / "neutral_smpl_with_cocoplus_reg.pkl", smpl)
    others = [folder / "neutral_smpl_mean_params.h5", folder / f"{prefix.name}.meta"]
    for other in others:
        other.write_bytes(b"not read")
    files = [smpl, *others, *prefix.parent.glob(f"{prefix.name}.*")]
    return _pack(folder / "models.tar.gz", *files)


def test_from_the_release_to_a_model_in_one_command(release, converted, tmp_path):
    assert _run("--input", release, "--output", tmp_path / "hmr") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["hmr"]
    for name in ("model.json", "model.weights.h5"):
        assert (tmp_path / "hmr" / name).stat().st_size == (converted / name).stat().st_size
    body = load_body(tmp_path / "hmr" / "body.npz")
    np.testing.assert_array_equal(body.v_template, made_body().v_template)
    np.testing.assert_array_equal(require_faces(body), smpl_files.smpl_dict()["f"])
    model = load_model(tmp_path / "hmr")
    assert np.isfinite(model(np.zeros((1, 224, 224, 3), np.float32))["joints3d"]).all()


def test_a_smpl_file_as_downloaded_gives_the_faces(tmp_path):
    path = tmp_path / "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl"
    smpl = smpl_files.smpl_dict(num_betas=300)
    smpl_files.write_python2_pickle(path, smpl)
    np.testing.assert_array_equal(read_body(path).faces, smpl["f"])
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **smpl_files.smpl_dict())
    assert (
        read_body(tmp_path / "SMPL_NEUTRAL.npz").source == "SMPL unknown neutral (SMPL_NEUTRAL.npz)"
    )
    save_body(tmp_path / "smpl_neutral.npz", made_body())
    assert read_body(tmp_path / "smpl_neutral.npz").source == made_body().source


def test_the_folder_of_an_unpacked_release(prefix, release, tmp_path):
    smpl = tmp_path / "neutral_smpl_with_cocoplus_reg.pkl"
    smpl.touch()
    (tmp_path / "model.ckpt-7.index").touch()
    assert open_release(tmp_path, tmp_path) == Release(tmp_path / "model.ckpt-7", smpl)
    assert open_release(prefix.parent, tmp_path) == Release(prefix, None)
    assert not is_release(smpl) and is_release(tmp_path) and is_release(release)


def _member(name, size=0, kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, link
    return member


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([_member("models/readme")], "one TF1 checkpoint .* Received: none"),
        ([_member("a.ckpt-1.index"), _member("b.ckpt-2.index")], r"Received: a\.ckpt-1, b\.ckpt-2"),
        ([_member("a/m.ckpt.index"), _member("b/m.ckpt.index")], r"holds m\.ckpt\.index twice"),
        ([_member("m.ckpt.index", kind=tarfile.SYMTYPE, link="/etc/passwd")], "Received: none"),
        ([_member("m.ckpt.index", kind=tarfile.LNKTYPE, link="other")], "Received: none"),
        ([_member("m.ckpt.index", kind=tarfile.CHRTYPE)], "Received: none"),
        ([_member("m.ckpt.index", size=1 << 40)], "claims more than"),
        ([_member("x", size=1 << 33, kind=tarfile.XHDTYPE)], "a header claims 8,589,934,592 bytes"),
        ([_member("x", size=1 << 33, kind=tarfile.GNUTYPE_LONGNAME)], "a header claims"),
    ],
)
def test_archives_that_are_refused(tmp_path, members, message):
    archive = tmp_path / "in" / "models.tar.gz"
    archive.parent.mkdir()
    blocks = b"".join(member.tobuf(tarfile.GNU_FORMAT) for member in members)
    archive.write_bytes(gzip.compress(blocks + bytes(1024)))
    with pytest.raises(UserError, match=message):
        _run("--input", archive, "--output", tmp_path / "out" / "hmr")
    assert not list((tmp_path / "out").glob("*"))


def test_nothing_is_written_outside(release, tmp_path):
    archive = tmp_path / "in" / "models.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(
        gzip.compress(_member("../../../m.ckpt.index").tobuf() + _member("/x.ckpt").tobuf())
    )
    with pytest.raises(UserError, match=r"Received: m\.ckpt, x\.ckpt"):
        _run("--input", archive, "--output", tmp_path / "out" / "hmr")
    assert {path.name for path in tmp_path.rglob("*")} == {"in", "out", "models.tar.gz"}


def test_a_cut_archive_is_damaged(release, tmp_path):
    archive = tmp_path / "models.tar.gz"
    archive.write_bytes(release.read_bytes()[:200_000])
    with pytest.raises(UserError, match="is not a tar archive, or is damaged"):
        _run("--input", archive, "--output", tmp_path / "hmr")


@pytest.mark.parametrize(("step", "expected"), [(0, 0), (12345, 12345), (667_589, 667_589)])
def test_steps_from_the_power_of_beta(step, expected):
    tensors = {"beta2_power": np.float32(0.999 ** (step + 1)), "global_step": np.int32(step)}
    assert adam_steps(tensors, tf1_names.ENCODER_POWERS) == expected


def test_an_adam_younger_than_the_step():
    tensors = {"beta2_power": np.float32(0.999**101), "global_step": np.int32(5000)}
    assert adam_steps(tensors, tf1_names.ENCODER_POWERS) == 100


def test_imagenet_weights_of_slim(values, tmp_path):
    chosen = {name: value for name, value in values.items() if name.startswith("resnet")}
    chosen["resnet_v2_50/logits/weights"] = np.zeros((1, 1, 2048, 1001), np.float32)
    chosen["global_step"] = np.int64(0)
    prefix = tf1_files.write_checkpoint(tmp_path / "resnet_v2_50.ckpt", chosen)
    _run("--input", prefix, "--output", tmp_path / "imagenet")
    _check_encoder(tmp_path / "imagenet", values)


def test_imagenet_weights_in_the_archive_and_format_of_slims_download(values, tmp_path):
    chosen = {name: value for name, value in values.items() if name.startswith("resnet")}
    file = tmp_path / "resnet_v2_50.ckpt"
    tf.raw_ops.Save(filename=str(file), tensor_names=list(chosen), data=list(chosen.values()))
    _run("--input", _pack(tmp_path / "s.tar.gz", file, folder=""), "--output", tmp_path / "again")
    _check_encoder(tmp_path / "again", values)


def _check_encoder(folder, values):
    encoder = NetworkParts.of(IMAGENET).encoder
    encoder.load_weights(folder / "encoder.weights.h5")
    for source in tf1_names.map_encoder(encoder):
        np.testing.assert_array_equal(source.variable, values[source.names[0]])


@pytest.mark.slow
def test_training_goes_on_where_it_stopped(tmp_path):
    import keras

    from hmr.network.build import build_model
    from hmr.settings import ModelSpec
    from hmr.training.losses import Criterion

    values = tf1_files.training_values(step=41)
    values |= dict.fromkeys(tf1_names.RUN_SETTINGS, np.float32(1))
    prefix = tf1_files.write_checkpoint(tmp_path / "model.ckpt-41", values)
    _run("--input", prefix, "--output", tmp_path / "hmr", "--training")
    spec = ModelSpec(body=str(tmp_path / "hmr" / "body.npz"))
    model = build_model(spec, with_discriminator=True)
    adams = [keras.optimizers.Adam(rate, epsilon=1e-8) for rate in (1e-5, 1e-4)]
    model.compile(*adams, Criterion())
    start = load_start(tmp_path / "hmr")
    start.assign(model)
    assert start.step == 41
    assert [int(adam.iterations) for adam in adams] == [41, 41]
    _check_moments(adams[0], model.encoder_variables, values, _network(model).encoder_mappings)
    critic = tf1_names.map_discriminator(model.discriminator)
    _check_moments(adams[1], model.discriminator.trainable_variables, values, critic)
    for source in critic:
        np.testing.assert_array_equal(source.variable, source.value(values))


def _network(model: HMR) -> NetworkParts:
    return NetworkParts(model.encoder, model.regressor, model.discriminator)


def _check_moments(adam, variables, values, sources):
    by_path = {source.variable.path: source for source in sources}
    slots = adam.variables[2:]
    for variable, momentum, velocity in zip(variables, slots[::2], slots[1::2], strict=True):
        source = by_path[variable.path]
        np.testing.assert_array_equal(momentum, source.value(values, "/Adam"))
        np.testing.assert_array_equal(velocity, source.value(values, "/Adam_1"))
