"""Hear commands in a microphone, a long recording, or a stream."""

import json
import sys
from contextlib import closing

import click

from dltasks.cli import options
from dltasks.cli.grouping import GroupedCommand, option


@click.command(cls=GroupedCommand)
@click.argument("source", required=False, metavar="[FILE | -]", type=click.Path())
@option(
    "--device", group=options.INPUT, help="Number or name of the microphone; the default one if not given."
)
@option("--devices", group=options.INPUT, is_flag=True, help="List the microphones.")
@options.model("commands")
@option(
    "--threshold",
    group="Detection",
    type=float,
    help="Probability from which every command counts; the model's own thresholds if not given.",
)
@option(
    "--false-alarms-per-hour",
    "budget",
    group="Detection",
    type=float,
    help="Take the model's thresholds for another budget of its card's table.",
)
@options.json_output
def command(source, device, devices, model, threshold, budget, as_json):
    """Print each command as soon as it is heard, with the second of the stream at which it was about half said.

    Hears the microphone (pip install 'dltasks[microphone]'), a recording of any length, or with - what comes on
    standard input: 16-bit little-endian PCM, mono, 16 kHz.

    \b
    dltasks listen
    dltasks listen meeting.wav --json
    arecord -t raw -f S16_LE -r 16000 -c 1 | dltasks listen -
    """
    if devices:
        from dltasks.tasks.speech import microphone

        for number, name in microphone.devices():
            click.echo(f"{number}\t{name}")
        return
    if source and device:
        raise click.UsageError("a FILE or --device, not both")
    if threshold is not None and not 0 <= threshold <= 1:
        raise click.UsageError(f"--threshold {threshold}: wanted 0 to 1")
    if threshold is not None and budget is not None:
        raise click.UsageError("--threshold or --false-alarms-per-hour, not both")
    _listen(source, device, _loaded(model or "commands", threshold, budget), as_json)


def _loaded(model: str, threshold: float | None, budget: float | None):
    """The bundle, listening as asked. Raises ModelError, SettingError."""
    from dataclasses import replace

    import dltasks
    from dltasks.errors import ModelError
    from dltasks.tasks.speech.task import SpeechTask

    bundle = dltasks.load(model)
    if not isinstance(bundle.task, SpeechTask):
        raise ModelError(f"{model}: not a model of spoken commands")
    if budget is not None:
        return replace(bundle, task=bundle.task.at(budget))
    if threshold is not None:
        bundle = replace(bundle, task=replace(bundle.task, thresholds=(threshold,) * len(bundle.task.labels)))
    return bundle


def _listen(source, device, bundle, as_json: bool) -> None:
    from dltasks.errors import DataError
    from dltasks.tasks.speech import streams

    heard = _Counted(_pieces(source, device, bundle.task))
    with closing(heard.pieces):
        for detection in streams.listen(bundle, heard):
            if as_json:
                print(json.dumps(detection.to_json()), flush=True)
            else:
                print(
                    f"{detection.time_seconds:9.2f}  {detection.command}  {detection.probability:.1%}",
                    flush=True,
                )
    seconds = heard.samples / bundle.task.sample_rate
    if not seconds:
        raise DataError(f"{source}: holds no sound (0 samples)")
    click.echo(f"listened to {seconds:.1f} s", err=True)


class _Counted:
    """Pieces of a stream, and how many samples have gone by."""

    def __init__(self, pieces):
        self.pieces, self.samples = pieces, 0

    def __iter__(self):
        for piece in self.pieces:
            self.samples += len(piece)
            yield piece


def _pieces(source, device, task):
    """A generator of float32 samples at the task's rate."""
    if source == "-":
        from dltasks.tasks.speech.streams import raw

        return raw(sys.stdin.buffer, task.hop_seconds, task.sample_rate)
    if source:
        from dltasks.tasks.speech.sound import blocks

        return blocks(source, task.sample_rate)
    from dltasks.cli.progress import TerminalProgress
    from dltasks.tasks.speech.microphone import samples

    number = int(device) if device and device.isdigit() else device
    return samples(number, task.hop_seconds, task.sample_rate, TerminalProgress())
