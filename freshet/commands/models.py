"""`freshet models`: the published bundles, and which of them is in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from freshet.core.clock import system_clock
from freshet.core.errors import BundleError
from freshet.core.settings import load_settings

if TYPE_CHECKING:
    from rich.table import Table

    from online_models.artifacts.differences import Differences
    from online_models.artifacts.manifest import Manifest
    from online_models.artifacts.registry import Registry

_SHOWN = ("recall_at_20", "mrr_at_20", "ndcg_at_10")


@click.group("models")
@click.option("--models-dir", type=click.Path(file_okay=False), help="Where bundles are published.")
@click.pass_context
def command(context: click.Context, models_dir: str | None) -> None:
    """List, compare, check and switch model bundles.

    A bundle is a folder: ranker, encoder and item tower in ONNX, item vectors, index, golden
    vectors, and a manifest with the SHA-256 of each file. It is checked in a process of its own
    before it is put in use; a refused one changes nothing. Running servers follow within seconds.

    \b
    Examples:
        freshet models list
        freshet models use 20261122T045100-0a1b2c3d
        freshet models diff
        freshet models rollback
    """
    from online_models.artifacts.registry import Registry

    context.obj = Registry.of(load_settings(models_dir=models_dir))


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def list_bundles(registry: Registry, as_json: bool) -> None:
    """List the bundles, newest first: which is in use, age, items, figures."""
    current, fault = _pointed_at(registry)
    rows = [_row(registry, version, current) for version in reversed(registry.versions())]
    if as_json:
        listed = {"models_dir": str(registry.models_dir), "current": current}
        listed |= {"fault": fault} if fault else {}
        click.echo(msgspec.json.encode(listed | {"bundles": rows}))
        return
    if fault:
        click.echo(fault)
    if not rows:
        click.echo(f"no bundles in {registry.models_dir}: `freshet train LOG` makes the first")
        return
    from rich.console import Console

    Console().print(_list_table(rows))


@command.command("show")
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@click.pass_obj
def show(registry: Registry, version: str | None, as_json: bool) -> None:
    """Show the manifest of VERSION, or of the one in use, and what it was found to be worth."""
    from online_models.artifacts.figures import remarks

    manifest = registry.manifest(version or _current(registry))
    if as_json:
        click.echo(msgspec.json.encode(manifest))
        return
    from rich.console import Console

    console = Console()
    console.print(
        f"[bold]{manifest.version}[/] made {_age(manifest)} ago, {manifest.item_count:,} items, "
        f"parent {manifest.parent or 'none'}"
    )
    console.print(figures_table(manifest))
    for remark in remarks(manifest.metrics):
        console.print(f"- {remark}", markup=False)
    for name, file in manifest.files.items():
        console.print(f"  {name:16} {file.size_bytes:>12,} bytes  {file.sha256[:16]}")


@command.command("publish")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.pass_obj
def publish(registry: Registry, path: Path) -> None:
    """Check the bundle in the folder PATH, take a copy of it and put it in use."""
    click.echo(f"bundle {registry.publish(path)} is in use")


@command.command("use")
@click.argument("version")
@click.pass_obj
def use(registry: Registry, version: str) -> None:
    """Check VERSION and put it in use."""
    registry.use(version)
    click.echo(f"bundle {version} is in use")


@command.command("rollback")
@click.pass_obj
def rollback(registry: Registry) -> None:
    """Put the bundle back that was in use before the current one."""
    click.echo(f"bundle {registry.rollback()} is in use")


@command.command("diff")
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def diff(registry: Registry, old: str | None, new: str | None, *, as_json: bool) -> None:
    """Show how the version NEW differs from OLD.

    NEW is the one in use where it is not named, OLD the one that was in use before.
    """
    from online_models.artifacts.differences import differences

    new = new or _current(registry)
    old = old or registry.previous()
    if old is None:
        raise BundleError(registry.models_dir, "no version was in use before; name two")
    for version in (old, new):
        registry.check(version)  # their rankers are asked in this process
    found = differences(registry.path(old), registry.path(new))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    from rich.console import Console

    Console().print(_differences_table(found))


def figures_table(manifest: Manifest) -> Table:
    """Return a table of what each model and counter foresaw of the last part of the log."""
    from rich.markup import escape
    from rich.table import Table

    from online_models.artifacts.figures import numbers, section

    table = Table("foreseen by", *_SHOWN, title="the last part of the log, full catalogue")
    metrics = manifest.metrics
    test = {name: numbers(metrics, "test", name) for name in section(metrics, "test")}
    for name, figures in sorted(test.items(), key=lambda each: -each[1].get("recall_at_20", 0)):
        table.add_row(escape(name), *(_figure(figures, figure) for figure in _SHOWN))
    lines = [
        _task_line(escape(name), numbers(metrics, "tasks", name))
        for name in section(metrics, "tasks")
    ]
    table.caption = "\n".join(filter(None, lines))
    return table


def _task_line(name: str, figures: dict[str, float]) -> str:
    """Return what is known of a task; nothing of one that was not measured."""
    auc = figures.get("auc_given_click", figures.get("auc"))
    if auc is None or not {"true", "predicted_over_true"} <= figures.keys():
        return ""
    given = " given a click" if "auc_given_click" in figures else ""
    ratio = figures["predicted_over_true"]
    return f"{name} ({figures['true']:,}): AUC {auc:.3f}{given}, foreseen / true {ratio:.2f}"


def _figure(figures: dict[str, float], name: str) -> str:
    return f"{figures[name]:.4f}" if name in figures else "-"


def _pointed_at(registry: Registry) -> tuple[str | None, str]:
    """Return the version in use, and why it is not known."""
    try:
        return registry.current(), ""
    except BundleError as error:
        return None, str(error)


def _current(registry: Registry) -> str:
    version = registry.current()
    if version is None:
        raise BundleError(registry.models_dir, "no bundle is in use; `freshet train LOG` makes one")
    return version


def _row(registry: Registry, version: str, current: str | None) -> dict[str, Any]:
    """Return what a list says of a version; a damaged one is listed with its fault."""
    from online_models.artifacts.figures import numbers

    in_use = version == current
    try:
        manifest = registry.manifest(version)
    except BundleError as error:
        return {"version": version, "current": in_use, "fault": error.reason}
    return {
        "version": version,
        "current": in_use,
        "age_s": (system_clock() - manifest.created_ts_ms) // 1000,
        "age": _age(manifest),
        "items": manifest.item_count,
        "ranker": numbers(manifest.metrics, "test", "ranker"),
    }


def _list_table(rows: list[dict[str, Any]]) -> Table:
    from rich.markup import escape
    from rich.table import Column, Table

    table = Table("", Column("version", no_wrap=True), "age", "items", "ranker recall@20", "mrr@20")
    for row in rows:
        if "fault" in row:
            table.add_row("in use" if row["current"] else "", row["version"], escape(row["fault"]))
            continue
        figures = row["ranker"]
        table.add_row(
            "in use" if row["current"] else "",
            row["version"],
            row["age"],
            f"{row['items']:,}",
            *(_figure(figures, figure) for figure in _SHOWN[:2]),
        )
    return table


def _differences_table(found: Differences) -> Table:
    from rich.table import Table

    table = Table("", found.old, found.new)
    for name, (old, new) in found.figures.items():
        table.add_row(name, f"{old:g}", f"{new:g}")
    table.add_section()
    table.add_row("items", f"{found.items_removed:,} removed", f"{found.items_added:,} added")
    table.add_row("files that differ", "", ", ".join(found.files) or "none")
    table.add_row("scores", "", f"differ by {found.score_difference:g} in the mean")
    table.add_row("order", "", f"rank correlation {found.rank_correlation:.4f}")
    return table


def _age(manifest: Manifest) -> str:
    """Return the age in its largest whole unit."""
    seconds = max(system_clock() - manifest.created_ts_ms, 0) // 1000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
