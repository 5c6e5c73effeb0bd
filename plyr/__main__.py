"""The command line's entrance. Each command's module is imported only when that command is called."""

import sys

from cyclopts import App

from plyr.commands.overview import COMMANDS, GROUPS
from plyr.outcome import CommandError
from plyr.shipped import program_version

EXIT_CODES = (
    "Exit codes: 0 ok, 1 failed or nothing changed, 2 wrong usage, 3 no database to be reached, "
    "4 a port or a lock is taken, 130 interrupted."
)


def command_line() -> App:
    """Return the command line, with every command registered and none loaded."""
    app = App(
        name="plyr",
        help="Indexer and AppView for music on the AT Protocol.",
        help_format="plaintext",
        help_epilogue=EXIT_CODES,
        version=program_version(),
    )
    groups: dict[str, App] = {}
    for full_name, command in COMMANDS.items():
        group, _, name = full_name.rpartition(" ")
        if group and group not in groups:
            groups[group] = App(name=group, help=GROUPS[group], help_format="plaintext")
            app.command(groups[group])
        examples = "\n".join(f"  {example}" for example in command.examples)
        (groups[group] if group else app).command(
            command.function,
            name=name,
            help=f"{command.summary}\n\n{command.details}",
            help_epilogue=f"Example:\n{examples}\n\n{EXIT_CODES}",
        )
    return app


def main() -> None:
    """Run the command that the arguments name, and end with its exit code."""
    try:
        command_line()()
    except CommandError as error:
        print(f"plyr: {error}", file=sys.stderr)
        sys.exit(error.code)


if __name__ == "__main__":
    main()
