"""The training loop: it learns, resumes from any moment, and refuses to mix two runs."""

import pytest
import torch
from garment_photos import write_photos

from kps.configs import detector_config
from kps.errors import InputError
from kps.models import checkpoints, hooks, training


@pytest.fixture(scope="module")
def coco_file(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


def make_config(coco_file, work_dir, **changes):
    settings = {"size": "tiny", "epochs": 3, "seed": 5, **changes}
    return detector_config(
        coco_file=coco_file, image_dir=coco_file.parent / "image", work_dir=work_dir, **settings
    )


def interrupt_at(monkeypatch, iteration):
    """Make training stop as by Ctrl-C before the given iteration (counted from 0)."""

    def stop(self, runner, batch_idx, data_batch=None):
        if runner.iter == iteration:
            raise KeyboardInterrupt

    monkeypatch.setattr(hooks.ProgressHook, "before_train_iter", stop)


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
    assert checkpoints.load_config(unbroken).train_cfg.max_epochs == 3
    history = training.load_history(unbroken.parent)
    per_epoch = len(history) // 3
    assert history.iteration.tolist() == list(range(1, 3 * per_epoch + 1))
    assert history.epoch.tolist() == sorted([1, 2, 3] * per_epoch)
    assert (history.seconds_per_iteration > 0).all() and history.loss.notna().all()


def test_the_curves_of_tensorboard_are_those_of_the_history(unbroken):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(unbroken.parent)).Reload()
    losses = [event.value for event in events.Scalars("loss")]
    assert losses == pytest.approx(training.load_history(unbroken.parent).loss.tolist(), rel=1e-5)


def test_data_that_changed_under_the_same_name_are_another_run(unbroken, coco_file):
    config = make_config(coco_file, unbroken.parent)
    content = coco_file.read_bytes()
    coco_file.write_bytes(content + b"\n")
    try:
        with pytest.raises(InputError, match=r"input_sha256\.coco_file"):
            training.train(config)
    finally:
        coco_file.write_bytes(content)


def test_a_finished_run_returns_at_once(unbroken, coco_file, monkeypatch, capsys):
    monkeypatch.setattr(training.ResumableRunner, "from_cfg", None)
    assert training.train(make_config(coco_file, unbroken.parent)) == unbroken
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("damage", [False, True], ids=["whole", "last state cut off"])
def test_a_broken_off_run_ends_where_an_unbroken_one_does(unbroken, coco_file, tmp_path, monkeypatch, damage):
    per_epoch = len(training.load_history(unbroken.parent)) // 3
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2 * per_epoch + 1)
        with pytest.raises(KeyboardInterrupt):
            training.train(make_config(coco_file, tmp_path))
    assert [path.name for path in hooks.saved_states(tmp_path)] == ["epoch_2.pth", "epoch_1.pth"]
    if damage:
        last = tmp_path / "epoch_2.pth"
        last.write_bytes(last.read_bytes()[:-100])
    (tmp_path / "history.jsonl").open("ab").write(b'{"epoch": 3, "iter')  # a row that a kill cut off
    (tmp_path / ".epoch_3.abc.pth").write_bytes(b"half a state")
    final = training.train(make_config(coco_file, tmp_path))
    assert not list(tmp_path.glob(".*"))
    assert largest_difference(final, unbroken) < 1e-6
    ours, theirs = training.load_history(tmp_path), training.load_history(unbroken.parent)
    assert ours.iteration.tolist() == theirs.iteration.tolist()
    assert ours.loss.to_numpy() == pytest.approx(theirs.loss.to_numpy(), rel=1e-4)


def test_another_seed_gives_other_weights(unbroken, coco_file, tmp_path):
    assert largest_difference(training.train(make_config(coco_file, tmp_path, seed=6)), unbroken) > 1e-3


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"epochs": 4}, "epochs"), ({"architecture": "cascade"}, "model"), ({"seed": 1}, "seed")],
)
def test_another_configuration_in_the_same_folder_is_refused(unbroken, coco_file, changes, key):
    with pytest.raises(InputError, match=rf"another configuration: \S*{key}"):
        training.train(make_config(coco_file, unbroken.parent, **changes))


def test_the_number_of_workers_may_change(unbroken, coco_file):
    assert training.train(make_config(coco_file, unbroken.parent, workers=1)) == unbroken


def test_weights_to_start_from_are_taken(unbroken, coco_file, tmp_path, monkeypatch):
    config = make_config(coco_file, tmp_path, epochs=1)
    config.load_from = str(unbroken)
    started = {}
    monkeypatch.setattr(
        hooks.EpochSeedHook,
        "before_train_epoch",
        lambda self, runner: started.update(runner.model.state_dict()),
    )
    interrupt_at(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        training.train(config)
    weights = checkpoints.load_weights(unbroken)
    name = "roi_head.bbox_head.0.fc_cls.weight"
    assert torch.equal(started[name], weights[name])


def test_a_loss_that_is_no_number_stops_the_run(coco_file, tmp_path):
    config = make_config(coco_file, tmp_path)
    config.optim_wrapper.optimizer.lr = 1e30
    config.optim_wrapper.clip_grad = None
    with pytest.raises(InputError, match="learning rate"):
        training.train(config)


def test_history_of_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"history\.jsonl"):
        training.load_history(tmp_path)
