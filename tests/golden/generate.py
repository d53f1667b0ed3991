"""Draws the golden pipelines: `python -m tests.golden.generate` (`make generate`)."""

from pathlib import Path

from runwright_api.loading import load_file
from runwright_pipelines.compiling import Layout, compile

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "ir"
LAYOUTS: tuple[Layout, ...] = ("compact", "stages")


def pipelines() -> dict[str, str]:
    """File name -> IR of each example in each layout, less the version of KFP's SDK, whose updates change nothing."""
    drawn = {}
    for example in sorted((ROOT / "examples").glob("*/run.yaml")):
        run = load_file(example)
        for layout in LAYOUTS:
            lines = compile(run, layout=layout).splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith("sdkVersion:")]
            drawn[f"{example.parent.name}.{layout}.yaml"] = "".join(kept)
    return drawn


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.yaml"):
        old.unlink()
    for name, text in pipelines().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
