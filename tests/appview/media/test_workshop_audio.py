"""Audio through the workshop: every format rendered, every hostile one refused, and no process that does more than it may."""

import asyncio
import contextlib
import io
import os
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from audio_samples import (
    CODECS,
    FORMATS,
    LOSSLESS,
    MEDIA_TYPES,
    PLAYLISTS,
    absurd_duration,
    bit_flipped,
    bomb,
    encoded,
    sample,
    truncated,
    wav,
    with_cover,
    wrong_container,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_samples import picture

from appview.media.facts import AAC_160, AudioFacts, Loudness, Rendering
from appview.media.workbench.waveform import Waveform
from appview.media.workshop import MediaRejected, WorkLimits, Workshop, WorkshopFailed

ROOT = Path(__file__).resolve().parents[3]
LIMITS = WorkLimits(seconds=60)
on_linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at processes in /proc")


async def render(tmp_path: Path, content: bytes, limits: WorkLimits = LIMITS) -> Rendering:
    """Render a file of this content to `tmp_path`/target, and see that nothing is left after a failure."""
    original, target = tmp_path / "original", tmp_path / "target"
    original.write_bytes(content)
    try:
        rendering = await Workshop(limits=limits).render(original, target, AAC_160)
    except (MediaRejected, WorkshopFailed):
        assert not target.exists()
        raise
    assert target.stat().st_size == rendering.size_bytes
    return rendering


async def probe(tmp_path: Path, content: bytes, limits: WorkLimits = LIMITS) -> AudioFacts:
    """Probe a file of this content."""
    original = tmp_path / "original"
    original.write_bytes(content)
    return await Workshop(limits=limits).probe(original)


async def refusal(tmp_path: Path, content: bytes, limits: WorkLimits = LIMITS) -> str:
    """Return the word with which a file is refused when it is rendered."""
    with pytest.raises(MediaRejected) as refused:
        await render(tmp_path, content, limits)
    return word_of(refused.value)


def word_of(rejected: MediaRejected) -> str:
    """Return the stable word of a refusal."""
    word, colon, sentence = rejected.reason.partition(": ")
    assert colon
    assert sentence
    return word


def decoded(file: Path) -> tuple[Any, int]:
    """Return the samples of a file, of shape (channels, samples), and their rate, by FFmpeg alone."""
    with av.open(str(file)) as container:
        frames = list(container.decode(audio=0))
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), frames[0].sample_rate


@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_is_probed_and_rendered(tmp_path: Path, name: str) -> None:
    content = sample(name, 2.0, tags={"title": "A song"})
    facts = await probe(tmp_path, content)
    assert (facts.mime_type, facts.codec, facts.channels) == (MEDIA_TYPES[name], CODECS[name], 2)
    assert facts.sample_rate_hz == (48_000 if "opus" in name else 44_100)
    assert facts.is_lossless == (name in LOSSLESS)
    assert facts.duration_ms is not None
    assert abs(facts.duration_ms - 2000) <= 60
    assert facts.bitrate_kbps is not None
    assert abs(facts.bitrate_kbps * 250 / len(content) - 1) < (0.3 if name in ("flac", "alac") else 0.2)
    assert dict(facts.tags) == ({} if name == "adts" else {"title": "A song"})

    rendering = await render(tmp_path, content)
    assert abs(rendering.duration_ms - 2000) <= 60
    assert (rendering.channels, rendering.mime_type) == (2, "audio/mp4")
    assert rendering.sample_rate_hz == facts.sample_rate_hz
    assert abs(rendering.bitrate_kbps - rendering.size_bytes * 8 / rendering.duration_ms) <= 1
    assert len(rendering.peaks) == 1000
    assert 120 <= np.median(rendering.peaks) <= 135
    assert rendering.loudness.integrated_lufs == pytest.approx(-6.7, abs=0.5)
    assert rendering.loudness.true_peak_dbtp == pytest.approx(-6.02, abs=0.6)

    samples, rate = decoded(tmp_path / "target")
    assert rate == rendering.sample_rate_hz
    assert abs(samples.shape[1] / rate - 2) < 0.06
    loudest = np.abs(np.fft.rfft(samples[0])).argmax() * rate / samples.shape[1]
    assert loudest == pytest.approx(440, abs=1)


async def test_the_target_can_be_streamed_and_says_nothing_of_the_original(tmp_path: Path) -> None:
    content = sample("flac", 1.0, tags={"title": "Somebody's secret"})
    await render(tmp_path, content)
    written = (tmp_path / "target").read_bytes()
    assert 0 < written.index(b"moov") < written.index(b"mdat")
    assert b"secret" not in written
    assert b"Lav" not in written
    with av.open(io.BytesIO(written)) as container:
        assert container.streams.audio[0].profile == "LC"
        assert len(container.streams) == 1
    await render(tmp_path, content)
    assert (tmp_path / "target").read_bytes() == written


@pytest.mark.parametrize(
    ("rate", "channels", "expected"), [(192_000, 2, (48_000, 2)), (88_200, 6, (44_100, 2)), (22_050, 1, (44_100, 1)), (8_000, 1, (48_000, 1))]
)  # fmt: skip
async def test_rates_and_channels_are_brought_to_those_of_players(
    tmp_path: Path, rate: int, channels: int, expected: tuple[int, int]
) -> None:
    content = sample("flac", 0.5, channels=channels, sample_rate=rate)
    facts = await probe(tmp_path, content)
    rendering = await render(tmp_path, content)
    assert (facts.sample_rate_hz, facts.channels) == (rate, channels)
    assert (rendering.sample_rate_hz, rendering.channels, rendering.duration_ms) == (*expected, 500)
    assert max(rendering.peaks) <= 130


async def test_loudness_is_that_of_ebu_r_128(tmp_path: Path) -> None:
    """A stereo sine of 1 kHz has the loudness of its peak in dBFS; of one channel it is heard from two loudspeakers as well."""
    for channels in (1, 2):
        content = sample("wav-float", 4.0, 1000.0, channels, 48_000, amplitude=10 ** (-23 / 20))
        loudness = (await render(tmp_path, content)).loudness
        assert loudness.integrated_lufs == pytest.approx(-23, abs=0.2)
        assert loudness.true_peak_dbtp == pytest.approx(-23, abs=0.2)


async def test_the_true_peak_lies_between_the_samples(tmp_path: Path) -> None:
    moments = np.arange(48_000)
    swelling = np.minimum(1, np.minimum(moments, moments[::-1]) / 4800)  # an edge would have a peak of its own
    wave = swelling * np.sin(np.pi / 2 * moments + np.pi / 4)  # no sample of it is beyond 0.708
    rendering = await render(tmp_path, encoded("wav-float", wave[np.newaxis], 48_000))
    assert max(rendering.peaks) == 180
    assert rendering.loudness.true_peak_dbtp == pytest.approx(0, abs=0.2)


async def test_silence_has_no_loudness(tmp_path: Path) -> None:
    rendering = await render(tmp_path, sample("flac", 1.0, amplitude=0.0))
    assert rendering.loudness == Loudness(None, None)
    assert set(rendering.peaks) == {0}


async def test_peaks_follow_the_recording(tmp_path: Path) -> None:
    wave = np.sin(2 * np.pi * 1000 * np.arange(88_200) / 44_100) * np.repeat((0.25, 0.75), 44_100)
    peaks = (await render(tmp_path, encoded("wav-float", np.stack((np.zeros_like(wave), wave)), 44_100))).peaks
    assert set(peaks[5:495]) <= set(range(62, 66))
    assert set(peaks[505:995]) <= set(range(189, 193))


@pytest.mark.parametrize("count", [1, 2, 500, 999])
async def test_a_recording_of_few_samples_has_few_peaks(tmp_path: Path, count: int) -> None:
    rendering = await render(tmp_path, wav(b"\0\x40" * count, rate=44_100))
    assert rendering.peaks == (128,) * count
    assert rendering.duration_ms == max(1, round(count / 44.1))


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=300),
    st.integers(1, 300),
    st.lists(st.integers(1, 9000), max_size=5),
)
@settings(deadline=None, max_examples=50)
def test_peaks_do_not_depend_on_how_samples_were_cut(values: list[float], repeated: int, cuts: list[int]) -> None:
    samples = np.repeat(np.array(values, np.float32), repeated)[np.newaxis]
    whole, pieces = Waveform(), Waveform()
    whole.push(samples)
    rest = samples
    for cut in cuts:
        pieces.push(rest[:, :cut])
        rest = rest[:, cut:]
    pieces.push(rest)
    peaks = whole.peaks()
    assert pieces.peaks() == peaks
    assert len(peaks) == min(1000, samples.shape[1])
    assert max(peaks) == round(float(np.abs(samples).max()) * 255)


async def test_a_large_cover_in_front_is_left_alone(tmp_path: Path) -> None:
    cover = picture("PNG", 800, 800) + bytes(500_000)
    for name, expected in (("mp3", "mp3"), ("adts", "aac"), ("flac", "flac")):
        content = with_cover(sample(name, 1.0), cover)
        facts = await probe(tmp_path, content)
        assert facts.codec == expected
        assert (await render(tmp_path, content)).duration_ms == pytest.approx(1000, abs=60)
    assert (await probe(tmp_path, with_cover(sample("mp3", 2.0), cover))).bitrate_kbps == pytest.approx(130, abs=10)


async def test_tags_are_bounded_and_plain(tmp_path: Path) -> None:
    tags = {
        "TITLE": "a\x07b\n\u202ec\u0000"[:-1],
        "artist": "é" * 2000,
        "made_up": "never",
        "comment": "\x01",
        "album": "MARKMARK",
    }
    facts = await probe(tmp_path, sample("flac", 0.1, tags=tags).replace(b"MARKMARK", b"\xff\xfeMARK\xc3\xc3"))
    assert dict(facts.tags) == {"title": "a b c", "artist": "é" * 500, "album": "MARK"}


async def test_samples_that_are_no_numbers_break_nothing(tmp_path: Path) -> None:
    samples = np.zeros(44_100, np.float32)
    samples[20_000:21_000] = 0.5
    for place, value in ((100, np.nan), (200, np.inf), (300, -np.inf), (400, 3e38)):
        samples[place] = value
    rendering = await render(tmp_path, wav(samples.tobytes(), rate=44_100, bits=32, kind=3))
    assert rendering.duration_ms == 1000
    assert rendering.peaks[460] == 128
    written, _ = decoded(tmp_path / "target")
    assert np.isfinite(written).all()
    nothing = await render(tmp_path, wav(np.full(44_100, np.nan, np.float32).tobytes(), rate=44_100, bits=32, kind=3))
    assert set(nothing.peaks) == {0}


async def test_the_length_is_counted_and_not_believed(tmp_path: Path) -> None:
    content = bytearray(sample("flac", 2.0))
    content[22:26] = struct.pack(">I", 3 * 44_100)
    assert (await probe(tmp_path, bytes(content))).duration_ms == 3000
    assert (await render(tmp_path, bytes(content))).duration_ms == 2000
    content[22:26] = struct.pack(">I", 9 * 44_100)
    assert await refusal(tmp_path, bytes(content)) == "broken"
    # What programs write into a pipe, not knowing the length.
    for claimed in (0, 0xFFFFFFFF):
        piped = wav(bytes(88_200), rate=44_100, claimed_bytes=claimed)
        assert (await render(tmp_path, piped)).duration_ms == 1000


async def test_a_few_damaged_packets_are_skipped_and_many_are_not(tmp_path: Path) -> None:
    content = bytearray(sample("flac", 4.0))
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    assert 3600 <= (await render(tmp_path, bytes(content))).duration_ms <= 4000
    assert await refusal(tmp_path, bit_flipped(sample("flac", 4.0), 1, spare=200)) == "broken"


async def test_streams_that_change_in_the_middle_are_one_recording(tmp_path: Path) -> None:
    chained = sample("mp3", 1.0) + sample("mp3", 1.0, sample_rate=22_050, channels=1)
    assert (await render(tmp_path, chained)).duration_ms == pytest.approx(2000, abs=150)
    other = sample("vorbis", 1.0) + sample("opus", 1.0)
    with contextlib.suppress(MediaRejected):
        assert (await render(tmp_path, other)).duration_ms >= 900


@pytest.mark.parametrize("name", FORMATS)
async def test_damaged_files_end_in_a_refusal_or_a_rendering(tmp_path: Path, name: str) -> None:
    content = sample(name, 1.0)
    hostile = {
        **{f"truncated-{keep}": truncated(content, keep) for keep in (0.01, 0.3, 0.8)},
        **{f"flipped-{seed}": bit_flipped(content, seed) for seed in (1, 2)},
        "shredded": bit_flipped(content, 3, 0.05, spare=64),
        "wrong-container": wrong_container(content, name),
        "zeros": content[:64] + bytes(len(content) - 64),
    }
    workshop = Workshop(processes=2, limits=LIMITS)

    async def outcome(kind: str, data: bytes) -> str:
        original, target = tmp_path / kind, tmp_path / f"{kind}.m4a"
        original.write_bytes(data)
        try:
            rendering = await workshop.render(original, target, AAC_160)
        except MediaRejected as rejected:
            assert not target.exists()
            return word_of(rejected)
        assert 0 < rendering.duration_ms <= 1100
        samples, rate = decoded(target)
        assert samples.shape[1] / rate * 1000 == pytest.approx(rendering.duration_ms, abs=60)
        return "rendered"

    outcomes = await asyncio.gather(*(outcome(kind, data) for kind, data in hostile.items()))
    assert set(outcomes) <= {"rendered", "broken", "not-audio", "no-audio-stream", "too-long", "too-expensive"}
    assert dict(zip(hostile, outcomes, strict=True))["wrong-container"] == "broken"
    assert children() == []


@pytest.mark.parametrize("name", ["flac", "mp3", "opus", "vorbis", "wav", "aiff", "aac", "alac"])
async def test_headers_that_claim_days_are_not_believed(tmp_path: Path, name: str) -> None:
    content = absurd_duration(name)
    if name == "wav":  # a length beyond the end of a WAV means one that was not known
        assert (await render(tmp_path, content)).duration_ms == 500
        return
    word = await refusal(tmp_path, content)
    assert word in ("too-long", "broken")
    if word == "too-long":
        with pytest.raises(MediaRejected, match=r"^too-long: "):
            await probe(tmp_path, content)


async def test_a_small_file_that_unfolds_into_hours_is_refused(tmp_path: Path) -> None:
    content = bomb()
    assert len(content) < 60_000
    assert await refusal(tmp_path, content, WorkLimits(seconds=20)) == "too-long"
    with pytest.raises(MediaRejected, match=r"^too-long: "):
        await probe(tmp_path, content)


@pytest.mark.parametrize("name", PLAYLISTS)
async def test_a_file_that_refers_to_others_is_no_audio(tmp_path: Path, name: str) -> None:
    assert await refusal(tmp_path, PLAYLISTS[name]) == "not-audio"


async def test_shapes_that_no_recording_has_are_refused(tmp_path: Path) -> None:
    for rate, channels in ((1, 1), (0, 1), (8000, 0), (8000, 60), (4_000_000, 1)):
        assert await refusal(tmp_path, wav(bytes(9600), rate=rate, channels=channels)) == "broken"
    assert await refusal(tmp_path, b"") == "not-audio"
    assert await refusal(tmp_path, wav(b"", rate=44_100)) == "broken"
    mu_law = wav(bytes(9600), rate=8000, bits=8, kind=7)
    assert await refusal(tmp_path, mu_law) == "not-audio"


async def test_a_file_without_audio_says_so(tmp_path: Path) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    assert await refusal(tmp_path, file.getvalue()) == "no-audio-stream"


async def test_every_cap_ends_in_a_refusal(tmp_path: Path) -> None:
    content = sample("flac", 2.0)
    assert await refusal(tmp_path, content, WorkLimits(seconds=0.01)) == "too-expensive"
    assert await refusal(tmp_path, content, WorkLimits(seconds=60, output_bytes=10_000)) == "too-expensive"
    assert await refusal(tmp_path, content, WorkLimits(seconds=60, audio_seconds=1)) == "too-long"
    unknown = bytearray(content)
    unknown[22:26] = bytes(4)
    assert await refusal(tmp_path, bytes(unknown), WorkLimits(seconds=60, audio_seconds=1)) == "too-long"
    assert (
        await refusal(tmp_path, wav(bytes(176_400), rate=44_100), WorkLimits(seconds=60, audio_seconds=1)) == "too-long"
    )
    assert children() == []


async def test_what_is_our_fault_is_not_the_files(tmp_path: Path) -> None:
    workshop = Workshop(limits=LIMITS)
    with pytest.raises(WorkshopFailed):
        await workshop.probe(tmp_path / "missing")
    original = tmp_path / "original"
    original.write_bytes(sample("flac", 1.0))
    with pytest.raises(WorkshopFailed):
        await workshop.render(original, tmp_path / "missing" / "target", AAC_160)
    with pytest.raises(WorkshopFailed):
        await Workshop(limits=WorkLimits(seconds=60, memory_bytes=10_000_000)).probe(original)
    assert not (tmp_path / "missing").exists()


@on_linux
async def test_a_full_disk_is_our_fault(tmp_path: Path) -> None:
    original, target = tmp_path / "original", tmp_path / "target"
    original.write_bytes(sample("flac", 1.0))
    target.symlink_to("/dev/full")
    with pytest.raises(WorkshopFailed):
        await Workshop(limits=LIMITS).render(original, target, AAC_160)
    assert not target.is_symlink()


def children(parent: int | None = None) -> list[int]:
    """Return the processes of the workbench that a process has started and that still run (none where there is no /proc)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            command = (status.parent / "cmdline").read_bytes()
            if int(fields[1]) == (parent or os.getpid()) and b"appview.media.workbench" in command and fields[0] != "Z":
                found.append(int(status.parent.name))
    return found


async def until(condition: Any) -> Any:
    """Return what is true at last; a minute is the guard against waiting for ever."""
    async with asyncio.timeout(60):
        while not (value := condition()):
            await asyncio.sleep(0.01)
        return value


def is_gone(process: int) -> bool:
    """Say whether a process has ended, waited for or not."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return True


def sealed(process: int) -> bool:
    """Say whether a process has reached the point where it opens no further file."""
    with contextlib.suppress(OSError):
        return "Max open files            0 " in Path(f"/proc/{process}/limits").read_text()
    return False


@contextlib.asynccontextmanager
async def long_job(tmp_path: Path) -> AsyncIterator[tuple["asyncio.Task[Rendering]", int]]:
    """Run a job that would take half a minute or more, until its process is sealed; give the task and the process."""
    original = tmp_path / "original"
    original.write_bytes(bomb(5 * 3600))
    task = asyncio.create_task(Workshop(limits=LIMITS).render(original, tmp_path / "target", AAC_160))
    (process,) = await until(children)
    await until(lambda: sealed(process))
    yield task, process
    task.cancel()
    await asyncio.wait([task])


@on_linux
async def test_a_cancelled_job_leaves_neither_process_nor_target(tmp_path: Path) -> None:
    async with long_job(tmp_path) as (task, process):
        assert (tmp_path / "target").exists()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert children() == []
        assert is_gone(process)
        assert not (tmp_path / "target").exists()


@on_linux
async def test_a_process_has_nothing_of_ours_and_opens_only_its_files(tmp_path: Path) -> None:
    os.environ["WORKSHOP_TEST_SECRET"] = "hidden"
    try:
        async with long_job(tmp_path) as (_, process):
            at = Path(f"/proc/{process}")
            environment = {entry.partition(b"=")[0] for entry in (at / "environ").read_bytes().split(b"\0") if entry}
            assert environment == {b"PATH", b"LANG", b"PYTHONPATH", b"PYTHONSAFEPATH", b"OPENBLAS_NUM_THREADS"}
            files = {str(number.readlink()) for number in (at / "fd").iterdir()}
            named = {name for name in files if name.startswith("/")}
            assert named <= {str(tmp_path / "original"), str(tmp_path / "target"), "/dev/null"}
            limits = (at / "limits").read_text()
            assert "Max core file size        0 " in limits
            assert f"Max file size             {LIMITS.output_bytes} " in limits
            assert f"Max address space         {LIMITS.memory_bytes} " in limits
            assert os.getpgid(process) == process
            assert os.getpriority(os.PRIO_PROCESS, process) >= 10
    finally:
        del os.environ["WORKSHOP_TEST_SECRET"]


@on_linux
async def test_who_killed_a_process_decides_whose_fault_it_was(tmp_path: Path) -> None:
    for number, expected in (
        (signal.SIGSEGV, MediaRejected),
        (signal.SIGXCPU, MediaRejected),
        (signal.SIGKILL, WorkshopFailed),
    ):
        async with long_job(tmp_path) as (task, process):
            os.kill(process, number)
            with pytest.raises(
                expected,
                match=f"^{'crashed' if number == signal.SIGSEGV else 'too-expensive' if number == signal.SIGXCPU else 'somebody'}",
            ):
                await task
        assert not (tmp_path / "target").exists()


@on_linux
async def test_only_so_many_processes_run_at_once(tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_bytes(sample("flac", 1.0))
    workshop = Workshop(processes=2, limits=LIMITS)
    jobs = [
        asyncio.create_task(workshop.render(original, tmp_path / f"target-{number}", AAC_160)) for number in range(6)
    ]
    most = 0
    while not all(job.done() for job in jobs):
        most = max(most, len(children()))
        await asyncio.sleep(0.005)
    assert most == 2
    assert len({(await job).size_bytes for job in jobs}) == 1


PARENT = """
import asyncio, sys
from pathlib import Path
from appview.media.facts import AAC_160
from appview.media.workshop import Workshop
asyncio.run(Workshop().render(Path(sys.argv[1]), Path(sys.argv[2]), AAC_160))
"""


@on_linux
async def test_a_process_dies_with_a_killed_parent(tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_bytes(bomb(5 * 3600))
    command = (sys.executable, "-c", PARENT, original, tmp_path / "target")
    parent = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    (process,) = await until(lambda: children(parent.pid))
    await until(lambda: sealed(process))
    parent.kill()
    await parent.wait()
    await until(lambda: is_gone(process))


CONFINED = """
import os
from appview.media.workbench.limits import Caps, confine, seal
confine(Caps(0.0, 10**9, 100, 1, 1), os.getppid())
try:
    {deed}
except OSError as error:
    print(error.errno)
"""


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("seal(); open('/etc/hostname')", b"24\n"),
        (
            "file = open({path!r}, 'wb', 0); file.write(bytes(100)); print('written', flush=True); file.write(b'1')",
            b"written\n27\n",
        ),
    ],
)
def test_the_kernel_holds_a_confined_process_to_its_limits(tmp_path: Path, deed: str, said: bytes) -> None:
    program = CONFINED.format(deed=deed.format(path=str(tmp_path / "large")))
    finished = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert finished.stdout == said


def test_a_process_that_only_computes_is_stopped() -> None:
    program = CONFINED.format(deed="exec('while True: pass')")
    finished = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert finished.returncode == -signal.SIGXCPU


def test_a_process_whose_parent_has_gone_does_nothing() -> None:
    program = "from appview.media.workbench.limits import Caps, confine\nconfine(Caps(1.0, 10**9, 1, 1, 1), 1234567)\nprint('alive')"
    finished = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert (finished.returncode, finished.stdout) == (1, b"")
