"""Building a snapshot in a process of its own: a minute of work that no decision waits for, on the other core where
there is one. Both ends are here; `python -m gateway.store.list_builder` is the other process.

Rules
1. It is started with the same interpreter and the same code, reads one `Work` from its input, and says line by line how
   many more rows are done, or why it failed. Only its end with status 0 means that the list is built and synced.
2. It gives way: others have the processor first, and where memory runs out it is the first to be ended. Whoever ends it
   at any moment does no harm.
3. It ends with whoever started it: a line that nobody reads is its last, and then it leaves all names in the folder
   alone, for they may be another's by now.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from gateway.errors import StoreError
from gateway.store.list_parts import PartFolder
from gateway.store.whitelist_build import build_file, remove_built
from gateway.store.whitelist_file import ListState
from wire.whitelist import ListError, Manifest

_NICE = 10
_ENDED_FIRST = "500"
_CODE = Path(__file__).parents[2]


class Work(msgspec.Struct, frozen=True):
    """What is to be built: the list of `manifest`, whose parts lie in the folder `parts`, at `path`."""

    path: str
    parts: str
    manifest: Manifest
    state: ListState


class Failed(msgspec.Struct, frozen=True):
    """Why nothing was built; `code` is that of a ListError, None for a StoreError."""

    reason: str
    code: str | None = None


_encode = msgspec.json.Encoder().encode
_decode_said = msgspec.json.Decoder(int | Failed).decode


def build_apart(
    path: Path, folder: PartFolder, manifest: Manifest, state: ListState, progress: Callable[[int], None]
) -> None:
    """`build_file` of the parts that `folder` has of `manifest`, by another process; in a thread. What `progress`
    raises ends that process.

    Raises:
        ListError, StoreError: as build_file and PartFolder.parts have it, and StoreError where the process could not
            be started or was ended. Either way, nothing is left at `path`.
    """
    work = Work(str(path.absolute()), str(folder.path.absolute()), manifest, state)
    command = [sys.executable, "-P", "-m", "gateway.store.list_builder"]
    code = os.pathsep.join(filter(None, (str(_CODE), os.environ.get("PYTHONPATH"))))
    built = False
    try:
        with (
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": code},
                start_new_session=True,
            ) as child,
            ExitStack() as given_up,
        ):
            given_up.callback(child.kill)
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(_encode(work))
            child.stdin.close()
            _hear(child.stdout, progress)
            given_up.pop_all()
        if child.returncode:
            how = f"status {child.returncode}" if child.returncode > 0 else f"signal {-child.returncode}"
            raise StoreError(f"{path}: the list could not be built: the process that builds it was ended, {how}")
        built = True
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"{path}: the list could not be built by another process: {error}") from error
    finally:
        if not built:
            remove_built(path)


def _hear(lines: Iterable[bytes], progress: Callable[[int], None]) -> None:
    """Pass on what the other process says, until its end. Raises ListError, StoreError; msgspec.DecodeError for a line
    that was cut off."""
    for line in lines:
        said = _decode_said(line)
        if isinstance(said, int):
            progress(said)
        elif said.code is None:
            raise StoreError(said.reason)
        else:
            raise ListError(said.code, said.reason)


def main() -> int:
    """The other process: build what the input says."""
    os.nice(_NICE)
    with suppress(OSError):  # Where the system has no such file, it has its own order.
        Path("/proc/self/oom_score_adj").write_text(_ENDED_FIRST, "ascii")
    work = msgspec.json.decode(sys.stdin.buffer.read(), type=Work)
    try:
        parts = PartFolder(Path(work.parts)).parts(work.manifest)
        build_file(Path(work.path), parts, work.state, _say)
    except ListError as error:
        _say(Failed(str(error), error.code))
        return 1
    except StoreError as error:
        _say(Failed(str(error)))
        return 1
    return 0


def _say(said: int | Failed) -> None:
    try:
        sys.stdout.buffer.write(_encode(said) + b"\n")
        sys.stdout.buffer.flush()
    except OSError:
        os._exit(1)  # Rule 3: at once, without the tidying up of whoever is on the way.


if __name__ == "__main__":
    sys.exit(main())
