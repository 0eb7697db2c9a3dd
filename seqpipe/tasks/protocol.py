"""What a task says of its own; everything else asks it.

A task is a folder `seqpipe/tasks/NAME/` with `config.py` (what a pipeline file of it holds) and `task.py` (a subclass
of `Task`). It is made from its configuration, then filled: `read` first, then `fit_features` or `load_features`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from seqpipe.evaluation.measures import Measure, Report
from seqpipe.serving.answers import Presentation
from seqpipe.serving.inputs import Input
from seqpipe.training.objective import Objective

if TYPE_CHECKING:
    import keras

    from seqpipe.data.examples import Examples
    from seqpipe.data.findings import Finding
    from seqpipe.export.artefact import Artefact, Row
    from seqpipe.export.lite import LiteFiles
    from seqpipe.serving.model import Model

Fitted = dict[str, Any]
IN_WEIGHTS = "weights"  # what stands in a Fitted under it goes into the model's weights
Say = Callable[[str], None]
Callbacks: TypeAlias = "Callable[[int, int], Sequence[keras.callbacks.Callback]]"


class Task(Objective):
    """A task; what has a body here is a hook that a task may leave as it is.

    name: permanent: it stands in pipeline files and artefacts.
    measures: what its runs are judged by; the first is the headline. A report holds each that it has of a split in
        `report["splits"][SPLIT]["measures"][NAME]` as {value, n} or {value, low, high, n}.
    input: what one row of a request is. answer: how an answer is shown.
    kept_features: what `load_published` needs of the features: names in their directory; they go into the artefact.
    before_refit: of a run that was trained once more, the model of before, which dev can still judge.
    """

    name: ClassVar[str]
    measures: ClassVar[tuple[Measure, ...]]
    input: ClassVar[Input]
    answer: ClassVar[Presentation]
    kept_features: ClassVar[tuple[str, ...]] = ()
    before_refit: keras.Model | None = None

    def __init__(self, config: Any):
        self.config = config

    @classmethod
    def measures_of(cls, settings: Mapping[str, object]) -> tuple[Measure, ...]:
        """What runs of a pipeline are judged by, for a task whose pipelines are of more than one kind.

        Args:
            settings: the pipeline's values by dotted key.
        """
        return cls.measures

    # Data

    def read(self) -> list[Finding]:
        """Read and validate all splits; raise DataError with every error at once, return what else was found."""
        raise NotImplementedError

    @property
    def tested(self) -> bool:
        """Whether there is a test split."""
        return self.config.data.test is not None

    def data_key(self) -> str:
        """A hash of what was read."""
        raise NotImplementedError

    def splits_key(self) -> str:
        """A hash of train, dev and test, which all seeds share; pre-training may read more."""
        return self.data_key()

    def evaluation_key(self) -> str | None:
        """A hash of the rows that only evaluation reads, before `read` too; None where there are none."""
        return None

    def fit_features(self, directory: Path) -> None:
        """Fit features on the training split and save them."""
        raise NotImplementedError

    def features_found(self) -> list[str]:
        """What was fitted, for `check`, a line each; where a user would want to know it before training."""
        return []

    def load_features(self, directory: Path) -> None:
        """Take up what `fit_features` saved."""
        raise NotImplementedError

    def examples(self, split: str) -> Examples:
        """What the model eats; computed once and cached by the caller."""
        raise NotImplementedError

    # Training: beside what `seqpipe.training.objective.Objective` asks

    def build(self) -> keras.Model:
        raise NotImplementedError

    def pretrain(self, directory: Path, *, say: Say, callbacks: Callbacks) -> str | None:
        """Train without labels, from wherever the last process left it; what was reached, or None for nothing to do."""
        return None

    def load_pretrained(self, directory: Path) -> None:
        """Take up what `pretrain` left, so that `build` starts from it."""

    @property
    def refits(self) -> bool:
        """Whether what is published is trained once more, on dev too."""
        return False

    def refit(self, directory: Path, *, epochs: int, say: Say, callbacks: Callbacks) -> str:
        """Train once more, for as many epochs as dev found best; what was done.

        From wherever the last process left it; the weights go into best.npz of the directory. What is fitted on dev
        afterwards is fitted with the weights of before.
        """
        raise NotImplementedError

    def keep(self, model: keras.Model, directory: Path) -> None:
        """Save of a trained model what other pipelines may start from."""

    # After training

    def trained(self, model: keras.Model) -> keras.Model:
        """The model to fit, evaluate and publish, of one as it was trained: without what only training needs."""
        return model

    def fit(self, model: keras.Model, examples: dict[str, Examples]) -> Fitted:
        """What is fitted on dev once the weights are final, such as a temperature: a value that JSON can hold.

        It is kept with the run, and given to `evaluate` and `artefact`; but for what stands under IN_WEIGHTS, which
        `finish` puts into the model, also with the artefact.
        """
        return {}

    def finish(self, model: keras.Model, fitted: Fitted) -> None:
        """Put into the model what was fitted and belongs into its weights; before evaluation and export."""

    def fit_baseline(self, train: Examples) -> None:
        """Fit what `evaluate` compares the model with, where that needs the training examples."""

    def evaluate(self, model: keras.Model, fitted: Fitted, examples: dict[str, Examples], directory: Path) -> Report:
        """Write reports and pictures of the splits into the directory; return the report."""
        raise NotImplementedError

    def describe(self, report: Report) -> str:
        """The report as Markdown sections of level three, for the card."""
        raise NotImplementedError

    def claim(self, report: Report) -> str:
        """What the card's first line says behind the headline figure, such as who won; or nothing."""
        return ""

    def limits(self) -> list[str]:
        """What the model is not for, one sentence each, for the card."""
        raise NotImplementedError

    def artefact(self, model: keras.Model, fitted: Fitted, version: int) -> Artefact:
        """Signatures, probes and reference answers for export and proof."""
        raise NotImplementedError

    def load_published(self, directory: Path, probes: list[Row]) -> None:
        """Take up from an exported model what `artefact` needs in place of data and features.

        Of a task with `kept_features`. probes: what its `serving_default` was proved with.
        """
        raise NotImplementedError

    def lite(self, artefact: Path, *, at_hand: bool) -> LiteFiles:
        """LiteRT files of an exported model, proved against it on dev if the data is at hand, else on probes.

        Of a task whose pipelines have `export.lite`.
        """
        raise NotImplementedError

    def evaluate_served(self, model: Model, source: str, directory: Path) -> tuple[Report, list[Finding]]:
        """The report on labelled rows of a source as the exported model answers them, with pictures in the directory.

        The report has the one split `test`.

        Raises:
            DataError: the rows cannot be read, or are labelled with what the model does not know.
        """
        raise NotImplementedError
