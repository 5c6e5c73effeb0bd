"""The command line's entrance. Each command's module is imported only when that command is called."""

import sys

from cyclopts import App

from plyr.commands.overview import COMMANDS
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
    for name, command in COMMANDS.items():
        examples = "\n".join(f"  {example}" for example in command.examples)
        app.command(
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
