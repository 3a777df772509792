"""The training loop: it learns, resumes from any moment, and refuses to mix two runs."""

import os
import random
import signal
import subprocess
import sys
from functools import partial

import orjson
import pytest
import torch
from garment_photos import write_photos
from mmengine.registry import DefaultScope
from small_models import detector_config, interrupt_at, landmark_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kps.data.coco import held_out_images, load_coco
from kps.files import InputError, read_json, write_json
from kps.models import checkpoints, hooks, training
from kps.models.detector import GarmentBoxes
from kps.workspace import REPOSITORY


@pytest.fixture(scope="module")
def coco_file(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


def make_config(coco_file, work_dir, *, build=detector_config, **changes):
    return build(coco_file=coco_file, work_dir=work_dir, **{"epochs": 3, "seed": 5, **changes})


quick_config = partial(make_config, build=landmark_config)  # it trains in less time


def train_until(config, iteration):
    """Train and stop as by Ctrl-C before the given iteration (counted from 0)."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, iteration)
        training.train(config)


@pytest.fixture(scope="module")
def unbroken(coco_file, tmp_path_factory):
    """A finished run."""
    return training.train(make_config(coco_file, tmp_path_factory.mktemp("unbroken")))


def largest_difference(a, b):
    a, b = checkpoints.load_weights(a), checkpoints.load_weights(b)
    assert a.keys() == b.keys()
    return max((a[name].double() - b[name].double()).abs().max().item() for name in a)


def test_a_finished_run_holds_weights_configuration_and_curves_only(unbroken):
    names = {path.name for path in unbroken.parent.iterdir() if ".tfevents." not in path.name}
    assert names == {"final.pth", "config.json", "history.jsonl"}
    assert checkpoints.stored_config(unbroken).train_cfg.max_epochs == 3
    history = training.load_history(unbroken.parent)
    per_epoch = len(history) // 3
    assert history.iteration.tolist() == list(range(1, 3 * per_epoch + 1))
    assert history.epoch.tolist() == sorted([1, 2, 3] * per_epoch)
    assert (history.seconds_per_iteration > 0).all() and history.loss.notna().all()
    shown = [event.value for event in EventAccumulator(str(unbroken.parent)).Reload().Scalars("loss")]
    assert shown == pytest.approx(history.loss.tolist(), rel=1e-5), "the curves of TensorBoard"


@pytest.mark.parametrize(("name", "key"), [("coco.json", "ann_file"), ("image/000001.jpg", "photos")])
def test_data_that_changed_under_the_same_name_are_another_run(unbroken, coco_file, name, key):
    file = coco_file.parent / name
    content = file.read_bytes()
    file.write_bytes(content + b"\n")
    try:
        with pytest.raises(InputError, match=rf"input_sha256\.{key}"):
            training.train(make_config(coco_file, unbroken.parent))
    finally:
        file.write_bytes(content)


def note_other_code(work_dir):
    """Make a folder's run one of another version of the code."""
    noted = read_json(work_dir / "config.json")
    noted["code_sha256"]["kps.models.hooks"] = "another"
    write_json(work_dir / "config.json", noted)


def test_a_result_of_other_code_is_not_taken_unless_by_wish(unbroken, coco_file, capsys):
    config, path = make_config(coco_file, unbroken.parent), unbroken.parent / "config.json"
    noted = read_json(path)
    note_other_code(unbroken.parent)
    with pytest.raises(InputError, match=r"of another version of the code \(changed: kps\.models\.hooks\)"):
        training.train(config)
    write_json(path, {key: value for key, value in noted.items() if key != "code_sha256"})
    assert training.train(config) == unbroken and "another version of the code" in capsys.readouterr().out
    assert read_json(path) == noted


def test_a_broken_off_run_goes_on_with_other_code_where_its_state_fits(coco_file, tmp_path, monkeypatch, capsys):
    def edited(self, model):
        built = build(self, model)
        built.edited = torch.nn.Linear(1, 1)
        return built

    build, config = training.ResumableRunner.build_model, make_config(coco_file, tmp_path)
    train_until(config, len(load_coco(coco_file).images) // 4 * 2)
    note_other_code(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(training.ResumableRunner, "build_model", edited)
        with pytest.raises(InputError, match=r"state_\d+\.pth: not of this model: edited\.weight"):
            training.train(config)
    note_other_code(tmp_path)
    shown = f"{tmp_path}: begun by another version of the code (changed: kps.models.hooks)\n"
    assert training.train(config).exists() and capsys.readouterr().out.count(shown) == 2


def test_a_finished_run_returns_at_once(unbroken, coco_file, monkeypatch, capsys):
    monkeypatch.setattr(training.ResumableRunner, "from_cfg", None)
    assert training.train(make_config(coco_file, unbroken.parent)) == unbroken
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("damage", [False, True], ids=["whole", "last state cut off"])
def test_a_broken_off_run_ends_where_an_unbroken_one_does(unbroken, coco_file, tmp_path, damage):
    two_epochs = 2 * len(training.load_history(unbroken.parent)) // 3
    train_until(make_config(coco_file, tmp_path), two_epochs + 1)
    assert [path.stem for path in hooks.saved_states(tmp_path)] == [f"state_{two_epochs + 1}", f"state_{two_epochs}"]
    if damage:
        last = hooks.saved_states(tmp_path)[0]
        last.write_bytes(last.read_bytes()[:-100])
    (tmp_path / "history.jsonl").open("ab").write(b'{"epoch": 3, "iter')  # a row that a kill cut off
    (tmp_path / ".state_9.abc.pth").write_bytes(b"half a state")
    final = training.train(make_config(coco_file, tmp_path))
    assert not list(tmp_path.glob(".*"))
    assert largest_difference(final, unbroken) < 1e-6
    ours, theirs = training.load_history(tmp_path), training.load_history(unbroken.parent)
    assert ours.iteration.tolist() == theirs.iteration.tolist()
    assert ours.loss.to_numpy() == pytest.approx(theirs.loss.to_numpy(), rel=1e-4)


@pytest.mark.parametrize("build", [detector_config, landmark_config])
def test_a_draw_is_the_same_whenever_it_is_made(build, coco_file, tmp_path):
    """Albumentations included, whose transforms have generators of their own."""
    made = make_config(coco_file, tmp_path, build=build, size="lite")
    training.register_parts(made.default_scope)
    with DefaultScope.overwrite_default_scope(made.default_scope):
        drawn = [hooks.with_seeded_draws(made.train_dataloader, seed=0)["dataset"] for _ in range(2)]
    first, again, other = (
        dataset[0, seed]["inputs"] for dataset, seed in ((drawn[0], 7), (drawn[1], 7), (drawn[1], 8))
    )
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_another_seed_gives_other_weights(unbroken, coco_file, tmp_path):
    assert largest_difference(training.train(make_config(coco_file, tmp_path, seed=6)), unbroken) > 1e-3


@pytest.mark.parametrize(
    ("changes", "key"), [({"epochs": 4}, "epochs"), ({"architecture": "cascade"}, "model"), ({"seed": 1}, "seed")]
)
def test_another_configuration_in_the_same_folder_is_refused(unbroken, coco_file, changes, key):
    with pytest.raises(InputError, match=rf"another configuration: \S*{key}"):
        training.train(make_config(coco_file, unbroken.parent, **changes))


def test_the_number_of_workers_may_change(unbroken, coco_file, tmp_path):
    assert training.train(make_config(coco_file, unbroken.parent, workers=1)) == unbroken
    assert largest_difference(training.train(make_config(coco_file, tmp_path, workers=2)), unbroken) < 1e-6


ACCUMULATED = {"accumulate": 2, "ema": 0.1, "batch_size": 3}  # 3 iterations an epoch, thus 2 steps


@pytest.fixture(scope="module")
def accumulated(coco_file, tmp_path_factory):
    final = training.train(quick_config(coco_file, tmp_path_factory.mktemp("accumulated"), **ACCUMULATED))
    assert len(training.load_history(final.parent)) == 9
    return final


@pytest.mark.parametrize(("iteration", "states"), [(3, [3]), (4, [3]), (5, [5, 3]), (7, [6, 3])])
def test_no_gradients_are_lost_by_a_break(accumulated, coco_file, tmp_path, iteration, states):
    """With 4 and 7 iterations done there are gradients under way, so that no state is to be had."""
    config = quick_config(coco_file, tmp_path, **ACCUMULATED)
    train_until(config, iteration)
    assert [path.stem for path in hooks.saved_states(tmp_path)] == [f"state_{n}" for n in states]
    assert largest_difference(training.train(config), accumulated) < 1e-6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("options", "written"), [({}, 1), (ACCUMULATED, 2), ({"epochs": 1}, 1)])
def test_a_signal_amid_a_step_leaves_a_state_after_it(coco_file, tmp_path, monkeypatch, number, options, written):
    config, passed_on = quick_config(coco_file, tmp_path, **options), []

    def send(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 0:
            signal.raise_signal(number)

    monkeypatch.setattr(hooks.SeedHook, "after_train_iter", send)
    before = signal.signal(signal.SIGTERM, lambda *_: passed_on.append(number))
    try:
        with pytest.raises(KeyboardInterrupt):
            training.train(config)
        assert passed_on == ([number] if number == signal.SIGTERM else [])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [path.stem for path in hooks.saved_states(tmp_path)] == [f"state_{written}"]


TRAIN = """
import sys
from kps.files import read_json
from kps.models import checkpoints, hooks, training
hooks.STATE_SECONDS = float(sys.argv[2])
training.train(checkpoints.as_config(read_json(sys.argv[1])))
"""
# Kills itself so many events after its first state: a moment of its own work, whatever time that takes.
KILLED = """
import os, sys
left = int(sys.argv[3])
def count(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), 9)
from kps.models import hooks
save = hooks.save_checkpoint
def save_and_count(*arguments):
    save(*arguments)
    sys.setprofile(count)
hooks.save_checkpoint = save_and_count
"""
EVENTS = 600_000  # calls and returns of Python functions in two iterations


@pytest.mark.parametrize("options", [{}, {"accumulate": 2, "ema": 0.1}], ids=["plain", "accumulated"])
def test_a_run_killed_at_random_moments_ends_where_an_unbroken_one_does(coco_file, tmp_path, options):
    options |= {"epochs": 6, "batch_size": 3}  # 18 iterations
    rng = random.Random(0)
    expected = training.train(quick_config(coco_file, tmp_path / "unbroken", **options))
    config = quick_config(coco_file, tmp_path / "killed", **options)
    write_json(tmp_path / "config.json", config.to_dict())
    final = tmp_path / "killed" / "final.pth"
    for _ in range(3 if "ema" in options else 2):
        arguments = [tmp_path / "config.json", "0", str(rng.randrange(1, EVENTS))]
        command = [sys.executable, "-c", KILLED + TRAIN, *arguments]
        killed = subprocess.run(command, cwd=REPOSITORY, check=False)
        assert killed.returncode == -signal.SIGKILL
        assert not final.exists() and hooks.saved_states(final.parent)
    subprocess.run([sys.executable, "-c", TRAIN, *arguments], cwd=REPOSITORY, check=True)
    assert largest_difference(final, expected) < 1e-6
    ours, theirs = training.load_history(final.parent), training.load_history(expected.parent)
    assert ours.iteration.tolist() == theirs.iteration.tolist()


AT_ONCE = "from kps.models import hooks; hooks.LINES = 10**9\n"  # a line for every iteration


def test_ctrl_c_in_a_terminal_reaches_the_loaders_processes_too(coco_file, tmp_path):
    config = quick_config(coco_file, tmp_path / "stopped", samples_per_epoch=10**6, workers=2)
    write_json(tmp_path / "config.json", config.to_dict())
    process = subprocess.Popen(
        [sys.executable, "-c", AT_ONCE + TRAIN, tmp_path / "config.json", "inf"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, process_group=0,
    )  # fmt: skip
    assert process.stdout.readline(), "the first line says that an iteration is done"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert err.count("Traceback") == 1, err
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert f"stopped after iteration {hooks.saved_states(tmp_path / 'stopped')[0].stem[6:]};" in out


def test_weights_to_start_from_are_taken(unbroken, coco_file, tmp_path, monkeypatch):
    def note(self, runner):
        started.update(runner.model.state_dict())

    started, name = {}, "roi_head.bbox_head.0.fc_cls.weight"
    monkeypatch.setattr(hooks.SeedHook, "before_train_epoch", note)
    train_until(make_config(coco_file, tmp_path, epochs=1, init_checkpoint=unbroken), 0)
    assert torch.equal(started[name], checkpoints.load_weights(unbroken)[name])


def test_a_loss_that_is_no_number_stops_the_run(coco_file, tmp_path):
    config = make_config(coco_file, tmp_path, learning_rate=1e30)
    config.optim_wrapper.clip_grad = None
    with pytest.raises(InputError, match=r"iteration \d+, its batch is in bad_batch\.pth"):
        training.train(config)
    bad = checkpoints.read_checkpoint(tmp_path / "bad_batch.pth")
    photos = bad["batch"]["data_samples"]
    assert photos[0]["img_path"].endswith(".jpg")
    assert photos[0]["gt_instances"]["bboxes"].shape[1] == 4


def test_mixed_precision_without_a_gpu_is_refused(coco_file, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="AmpOptimWrapper: expected a GPU"):
        training.train(make_config(coco_file, tmp_path, amp=True))


def test_too_little_memory_comes_with_advice(coco_file, tmp_path, monkeypatch):
    def exhaust(self, runner, batch_idx, data_batch=None):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(hooks.ProgressHook, "before_train_iter", exhaust)
    advice = "batch of 4; by .options. halve train_dataloader.batch_size and double .*Bfloat16OptimWrapper"
    with pytest.raises(InputError, match=advice):
        training.train(make_config(coco_file, tmp_path))


def test_the_best_weights_on_the_held_out_part_are_kept(coco_file, tmp_path, monkeypatch):
    scores = iter([0.2, 0.5, 0.1])
    monkeypatch.setattr(hooks, "held_out_score", lambda config, weights, part: next(scores))
    final = training.train(quick_config(coco_file, tmp_path, held_out=0.25))
    meta = checkpoints.read_checkpoint(final)["meta"]
    assert (meta["score"], meta["epoch"]) == (0.5, 2)
    assert not (tmp_path / "best.pth").exists()


def test_the_held_out_part_is_scored_and_not_learnt_from(coco_file, tmp_path):
    final = training.train(make_config(coco_file, tmp_path, epochs=1, held_out=0.25))
    assert -1 <= checkpoints.read_checkpoint(final)["meta"]["score"] <= 1
    held = held_out_images(load_coco(coco_file), 0.25)
    dataset = GarmentBoxes(ann_file=str(coco_file), data_prefix={"img": ""}, pipeline=[], held_out=0.25)
    assert held and not held & {dataset.get_data_info(i)["img_id"] for i in range(len(dataset))}


@pytest.mark.parametrize(("before", "share", "fits"), [(0.0, 0.1, 0), (0.1, 0.2, 0), (0.2, 0.1, 1)])
def test_photos_that_the_start_has_learnt_cannot_choose(coco_file, tmp_path, before, share, fits):
    start = make_config(coco_file, tmp_path, held_out=before).to_dict()
    meta = {"config_json": orjson.dumps(start).decode()}
    checkpoints.save_checkpoint(tmp_path / "universal.pth", {"meta": meta, "state_dict": {}})
    config = make_config(coco_file, tmp_path, held_out=share, init_checkpoint=tmp_path / "universal.pth")
    message = rf"universal.pth: trained with held_out {before}, .* {share} would choose"
    with pytest.raises(InputError, match="expected weights" if fits else message):
        training.train(config)


def test_history_of_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"history\.jsonl"):
        training.load_history(tmp_path)
