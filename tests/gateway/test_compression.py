"""permessage-deflate, which a gateway must offer (OCPP 2.0.1 Part 4 3.3): used frame by frame, and nothing is kept."""

from __future__ import annotations

from tests.gateway.conftest import Bench
from tests.gateway.ports import Ports, ask, play


def test_answers_are_compressed_as_was_agreed(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        station = await ports.connect(compress=15)
        assert station.compress == 15
        for _ in range(3):
            assert (await ask(station))[2]["status"] == "Accepted"

    play(bench, part)
