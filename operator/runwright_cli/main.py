"""The command's entry. Commands are imported when they are called: `runwright --help` needs click alone."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import NoReturn

import click

# name: (where its click command is, what --help of the group says)
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("runwright_cli.init_command:init", "Look at your data and write a TrainingRun for them."),
    "profile": ("runwright_cli.profile_command:profile", "Look at a table and propose how to prepare it."),
    "validate": ("runwright_cli.validate_command:validate", "Check TrainingRun files."),
    "run": ("runwright_cli.run_command:run", "Run a TrainingRun on this machine, from raw data to a package."),
    "serve": ("runwright_cli.serve_command:serve", "Serve a packaged model over HTTP."),
    "predict": ("runwright_cli.predict_command:predict", "Predict once with a packaged model."),
    "report": ("runwright_cli.report_command:report", "Draw the report of the last run again and say where it is."),
    "export": ("runwright_cli.export_command:export", "Write the splits of the last run as a Hugging Face dataset."),
    "compile": ("runwright_cli.compile_command:compile_", "Compile a TrainingRun to a Kubeflow pipeline."),
    "diff": ("runwright_cli.cluster.diff_command:diff", "Compare a file with the cluster: what would happen?"),
    "submit": ("runwright_cli.cluster.submit_command:submit", "Apply a TrainingRun to the cluster."),
    "watch": ("runwright_cli.cluster.watch_command:watch", "Show the progress of a TrainingRun in the cluster."),
    "logs": ("runwright_cli.cluster.logs_command:logs", "Print the logs of its pods, or what was kept of them."),
    "history": ("runwright_cli.cluster.history_command:history", "List the revisions of a TrainingRun."),
    "rollback": ("runwright_cli.cluster.rollback_command:rollback", "Serve an earlier revision, without training."),
    "retrain": ("runwright_cli.cluster.retrain_command:retrain", "Train the same recipe anew."),
    "cancel": ("runwright_cli.cluster.cancel_command:cancel", "Stop the revision that is being made."),
    "schema": ("runwright_cli.schema_command:schema", "Print the schema of a TrainingRun."),
    "completion": ("runwright_cli.completion_command:completion", "Print the completion script of a shell."),
}

FAILED = 1  # also for wrong usage, whose usual 2 means "the gate rejected the model" here
REJECTED = 2
INTERRUPTED = 130
TRACE_ENV = "RUNWRIGHT_TRACE"


class LazyGroup(click.Group):
    """A group that imports a command only to run it."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"runwright {version('runwright')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Say the version.")
def cli() -> None:
    """Runwright: one YAML from raw data to a served model.

    Start with `runwright init DATA`, then `runwright run FILE`.
    """


def main() -> NoReturn:
    """Run the command line; ends the process with its exit code and never with a traceback for a user's mistake."""
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        outcome = cli(prog_name="runwright", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        click.echo("cancelled", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001 (a person gets a message, never a traceback)
        from runwright_cli.failures import explain

        click.echo(explain(error), err=True)
        return FAILED
    return outcome if isinstance(outcome, int) else 0


if __name__ == "__main__":
    main()
