"""Hear commands in a microphone, a long recording, or a stream."""

import json
import sys
from contextlib import closing

import click

from dltasks.cli import options


@click.command(short_help="Hear commands in a microphone, a recording, or a stream.")
@click.argument("source", required=False, metavar="[FILE | -]")
@click.option("--device", help="Number or name of the microphone; the default one if not given.")
@click.option("--devices", is_flag=True, help="List the microphones.")
@click.option("--model", help="A bundled model's name, a bundle folder, or a .tflite; commands if not given.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Probability from which every command counts; the model's own thresholds if not given.",
)
@options.JSON
def command(source, device, devices, model, threshold, as_json):
    """Print each command with its second in the stream, as soon as it is heard.

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
    _listen(source, device, model or "commands", threshold, as_json)


def _listen(source, device, model: str, threshold: float | None, as_json: bool) -> None:
    from dataclasses import replace

    import dltasks
    from dltasks.errors import DataError, ModelError
    from dltasks.tasks.speech import SpeechTask, streams

    bundle = dltasks.load(model)
    if not isinstance(bundle.task, SpeechTask):
        raise ModelError(f"{model}: not a model of spoken commands")
    if threshold is not None:
        bundle = replace(bundle, task=replace(bundle.task, thresholds=(threshold,) * len(bundle.task.labels)))
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
    from dltasks.tasks.speech.microphone import samples

    number = int(device) if device and device.isdigit() else device
    return samples(number, task.hop_seconds, task.sample_rate)
