# mypy: disable-error-code="valid-type, untyped-decorator"
"""A pipeline of lightweight components, which hands on parameters, artifacts and metadata."""

from kfp import dsl

IMAGE = "python:3.12-slim"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def say(word: str, job: str, text: dsl.Output[dsl.Artifact], length: dsl.OutputPath(str)) -> None:
    from pathlib import Path

    Path(text.path).write_text(f"{word} {job}")
    text.metadata["word"] = word
    Path(length).write_text(str(len(word)))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def repeat(text: dsl.Input[dsl.Artifact], length: str) -> str:
    from pathlib import Path

    return f"{Path(text.path).read_text()} {length} {text.metadata['word']}"


@dsl.pipeline(name="talk")
def talk(word: str = "hello") -> None:
    said = say(word=word, job=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    repeat(text=said.outputs["text"], length=said.outputs["length"])
