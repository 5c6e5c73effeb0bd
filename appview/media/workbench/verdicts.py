"""How a job can end other than well: by the fault of the file, or by ours.

The words are stable, so that a refusal can be stored and counted: not-audio, not-picture, no-audio-stream, broken,
too-long, too-many-pixels, too-expensive and crashed. The last two are also what the workshop itself concludes of a
process that ended without an answer. A sentence for people follows the word.
"""


class Rejected(Exception):
    """The file is at fault, and will be the next time too."""

    def __init__(self, word: str, sentence: str) -> None:
        """Take a stable word and a sentence that says what was wrong."""
        super().__init__(f"{word}: {sentence}")
        self.reason = f"{word}: {sentence}"


class Failed(Exception):
    """The machine or we are at fault: worth another try."""
