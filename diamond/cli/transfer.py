"""``diamond cut NAME FOLDER``, where to cut a network for some data, and ``diamond compare A B --data FOLDER``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diamond.cli import completion
from diamond.cli.app import app, check_out
from diamond.cli.arguments import Json, Layers, Name, Out, Seed, Weights
from diamond.cli.networks import load_network, split_words
from diamond.cli.printing import has_bar, print_result, rows_of

__all__: list[str] = []

Latency = Annotated[bool, typer.Option("--latency/--no-latency", help="Measure the seconds to each answer.")]


@app.command()
def cut(
    name: Name,
    data: Annotated[
        str,
        typer.Argument(metavar="FOLDER", help="A folder with a folder for each class; or a .zip or .tar, or its URL."),
    ],
    layers: Layers = None,
    weights: Weights = "default",
    latency: Latency = True,
    seed: Seed = 0,
    out: Out = Path("cuts.html"),
    as_json: Json = False,
) -> None:
    """Measure where to cut a network for your classes, and recommend a cut.

    The cheapest that is as good as the best; the landmarks are measured unless --layers says others.

    JSON: network, classes, recommended, tied, rows (layer, accuracy, standard_error, below_best, tied, recommended, knn,
    h_alpha, log_me, channels, dead, idle, effective_rank, shape, sees_px, parameters, multiply_adds, peak_bytes,
    latency_s), notes, skipped, written.

    Example: diamond cut EfficientNetLite0 flowers/ --out flowers.html
    """
    check_out(out)
    net = load_network(name, weights, files=[data])
    from diamond.transfer.cut_points import cut_points

    found = cut_points(net, data, layers=split_words(layers), latency=latency, seed=seed, progress=has_bar())
    facts = {"network": net.name, "classes": found.classes, "recommended": found.recommended, "tied": found.tied}
    print_result(found, out, as_json=as_json, **facts)


@app.command()
def compare(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Networks of the zoo, .keras or .h5 files, or folders that dc.save wrote; two or more.",
            autocompletion=completion.networks,
        ),
    ],
    data: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="A folder with a folder for each class; or a .zip or .tar, or its URL."),
    ],
    names: Annotated[
        str | None,
        typer.Option(metavar="WORD,...", help="What to call them, with commas between; their own names without."),
    ] = None,
    level: Annotated[float, typer.Option(metavar="X", help="How often the intervals shall hold the truth.")] = 0.95,
    latency: Latency = True,
    examples: Annotated[int, typer.Option(metavar="N", help="At most so many samples that they disagree about.")] = 24,
    out: Out = Path("comparison.html"),
    as_json: Json = False,
) -> None:
    """Compare networks on the same samples: which is right more often, and the cost.

    Says also whether that is more than chance. The classes are those of the data, so that each network must know them.

    JSON: classes, pairs, rows (network, samples, accuracy, low, high, balanced_accuracy, balanced_low, balanced_high,
    other_answers, calibration_error, brier, negative_log_likelihood, parameters, multiply_adds, bytes, latency_s),
    notes, skipped, written.

    Example: diamond compare student/ EfficientNetLite0 --data cats/
    """
    from diamond.transfer.samples import read_samples

    check_out(out)
    called = None if names is None else [each.strip() for each in names.split(",")]
    # A folder that is not there is told before networks are loaded.
    samples = read_samples(data)
    nets = [load_network(each) for each in networks]
    from diamond.transfer.compare import compare as compared

    found = compared(nets, samples, names=called, level=level, latency=latency, examples=examples, progress=has_bar())
    facts = {"classes": found.classes, "pairs": rows_of(found.pairs)} if as_json else {}
    print_result(found, out, as_json=as_json, **facts)
