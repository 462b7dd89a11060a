"""`tensor-optix doctor`."""

from __future__ import annotations

from typing import Any

import typer

from tensor_optix.cli.answer import Answer, answering
from tensor_optix.cli.exits import EXIT_FAILED
from tensor_optix.cli.options import Json


def doctor(as_json: Json = False) -> None:
    """Tell versions, threads, backend, which extras are installed, and what is slow here."""
    with answering(as_json) as answer:
        from tensor_optix.cli.health import examined

        health = examined()
        answer.document |= health
        _say(answer, health)
        answer.suggest("tensor-optix train CartPole-v1")
        if health["problems"]:
            raise typer.Exit(EXIT_FAILED)


def _say(answer: Answer, health: dict[str, Any]) -> None:
    cache = health["compile_cache"]
    rows = {
        "Versions": ", ".join(f"{name} {version or 'missing'}" for name, version in health["versions"].items()),
        "Machine": f"{health['machine']}, {health['num_cpus']} processors: {health['processor'] or 'unknown'}",
        "Backend": health["backend"],
        "Devices": ", ".join(health["devices"]) or "none found",
        "Threads": ", ".join(f"{name}={value}" for name, value in health["threads"].items())
        or "nothing is set; train takes one for an operation where networks are small",
        "Compile cache": cache["unusable"]
        or f"{cache['folder']}, {cache['programs']} programs, {cache['bytes']:,} bytes",
    }
    missing = {name: packages for name, packages in health["extras"].items() if packages}
    rows["Extras"] = ", ".join(name for name in health["extras"] if name not in missing) or "none"
    rows["Not installed"] = ", ".join(f"{name} ({' '.join(packages)})" for name, packages in missing.items()) or "none"
    rows["Slow here"] = "nothing was found" if not health["slow"] else f"{len(health['slow'])}, see below"
    answer.say_rows(rows)
    answer.say(*(f"Slow: {line}" for line in health["slow"]), *(f"Problem: {line}" for line in health["problems"]))
