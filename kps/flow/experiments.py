"""The named experiments: which steps each one takes. Steps that several experiments need are made once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from kps.files import InputError
from kps.flow.steps import (
    AGGREGATION,
    DETECTOR,
    ENSEMBLE,
    FINETUNE,
    HOMOGENEITY,
    LANDMARKS,
    NOTEBOOKS,
    PREDICT,
    PREPARE,
    REPORT,
    SUBMISSION,
)
from kps.schema import CATEGORIES, package_data
from kps.workspace import GROUND_TRUTH

ALL = "all"
DEFAULT_AGGREGATION = "hand81"
Entry = tuple[str, dict[str, Any]]  # a notebook and its parameters


@dataclass(frozen=True)
class Experiments:
    """The table: parameters of the predictions by experiment, and of the finetuning by variant."""

    predictions: Mapping[str, Mapping[str, Any]]
    finetuning: Mapping[str, Mapping[str, Any]]

    @classmethod
    def shipped(cls) -> Experiments:
        """Read kps/flow/experiments.yaml."""
        value = yaml.safe_load(package_data("flow/experiments.yaml"))
        return cls(value["experiments"], value["finetuning"])

    def steps(self, names: Iterable[str]) -> list[Entry]:
        """Return the steps of the named experiments ("all": of every one), in the notebooks' order.

        Raises:
            InputError: an unknown name; the known ones are listed.
        """
        wanted = list(dict.fromkeys(names))
        for name in wanted:
            if name not in (*self.predictions, ALL):
                raise InputError(
                    f"no experiment {name!r}; there are {', '.join(self.predictions)}, or {ALL} for every one"
                )
        if ALL in wanted:
            wanted = list(self.predictions)
        found: dict[str, Entry] = {}
        for name in wanted:
            for entry in self._of(name):
                found.setdefault(repr(entry), entry)
        last = self._last(wanted)
        return sorted([*found.values(), *last], key=lambda entry: NOTEBOOKS.index(entry[0]))

    def _of(self, name: str) -> list[Entry]:
        """The steps up to an experiment's predictions."""
        given = dict(self.predictions[name])
        if "runs" in given:
            members = [entry for member in given["runs"] for entry in self._of(member)]
            return [*members, (ENSEMBLE, {"run": name, **given})]
        aggregation = given.get("aggregation", DEFAULT_AGGREGATION)
        entries: list[Entry] = [(PREPARE, {}), (HOMOGENEITY, {})]
        entries += [(notebook, {"aggregation": aggregation}) for notebook in (AGGREGATION, LANDMARKS)]
        if given["boxes"] != GROUND_TRUTH:
            entries.append((DETECTOR, {"detector": given["boxes"]}))
        if given["model"].startswith("finetune_"):
            entries += self._finetuning(given["model"].removeprefix("finetune_"), aggregation)
        return [*entries, (PREDICT, {"run": name, **given})]

    def _finetuning(self, variant: str, aggregation: str) -> list[Entry]:
        shared = {"aggregation": aggregation, "variant": variant, **self.finetuning[variant]}
        return [(FINETUNE, {"category_id": item.id, **shared}) for item in CATEGORIES]

    def _last(self, names: list[str]) -> list[Entry]:
        """Submit the last experiment that predicts the test split, if any, and report on all."""
        submitted = [name for name in names if "test" in self.predictions[name].get("splits", ["test"])]
        preferred = "ensemble" if "ensemble" in submitted else submitted[-1] if submitted else None
        return [*([(SUBMISSION, {"run": preferred})] if preferred else []), (REPORT, {})]
